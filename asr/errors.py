"""Every error that a user can cause.

    AsrError                 base: its text is one line: what was found, where, what to do
    ├── AudioError           a file or samples that cannot be read or recognised
    ├── BundleError          a bundle that is missing, corrupt, newer than this program, or tampered with
    ├── DeviceError          no microphone, an unknown device, one that vanished
    ├── DataError            a manifest, shard, text or lexicon that training cannot use
    ├── CheckpointError      a checkpoint that is missing, corrupt or of another model
    └── MissingExtraError    a package that an optional part needs and that is not installed

The command line prints the text of an AsrError after "asr: " and exits with `exit_status`; a library caller catches AsrError.
"""


class AsrError(Exception):
    """Base of all errors that a user can cause. The text is one line."""

    exit_status = 1


class AudioError(AsrError):
    """Audio that cannot be read or recognised."""


class BundleError(AsrError):
    """A bundle that cannot be used."""


class DeviceError(AsrError):
    """A microphone that cannot be used."""


class DataError(AsrError):
    """Training data that cannot be used."""


class CheckpointError(AsrError):
    """A checkpoint that cannot be used."""


class MissingExtraError(AsrError):
    """A package of an optional part is not installed."""

    def __init__(self, package: str, extra: str):
        super().__init__(f"the package {package} is not installed; it comes with: pip install 'asr[{extra}]'")
