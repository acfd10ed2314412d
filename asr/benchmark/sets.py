"""Which recordings are measured: recordings/ of this project, or the dev and test sets of a folder of speech.

Training's reader of sets reads them (it needs no torch). Test sets are left alone until they are asked for by name or by the word
`test`: dev chooses, test is looked at once for each bundle that ships.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asr.benchmark.rows import project_root
from asr.errors import DataError

if TYPE_CHECKING:
    from asr.training.manifests import Utterance


@dataclass(frozen=True)
class SpeechSet:
    """A named list of utterances. A set cut short says so in its name, so that its figures never pass for the whole set's."""

    name: str
    utterances: "tuple[Utterance, ...]"

    def first(self, limit: int | None) -> "SpeechSet":
        """At most `limit` utterances, spread evenly over the set so that no speaker is left out; None takes all."""
        if limit is None or limit >= len(self.utterances):
            return self
        places = np.linspace(0, len(self.utterances) - 1, limit).round().astype(int)
        return SpeechSet(f"{self.name}:{limit}", tuple(self.utterances[place] for place in places))


def find_sets(speech: Path | None, names: str = "dev") -> list[SpeechSet]:
    """The sets to measure.

    `speech` is a folder with NAME.tsv and NAME.tar files, None for recordings/; `names` is `dev`, `test`, `all` (both) or set names
    with commas between. Raises DataError where there is no such set.
    """
    from asr.training.manifests import read_set

    if speech is None:
        folder = project_root() / "recordings"
        if not folder.is_dir():
            raise DataError("no recordings folder beside the program; name a folder of speech with --speech FOLDER")
        return [SpeechSet("recordings", tuple(read_set(folder)))]
    if not speech.is_dir():
        raise DataError(f"{speech}: no such folder of speech; it should hold NAME.tsv and NAME.tar files")
    kinds = {"dev": ("dev",), "test": ("test",), "all": ("dev", "test")}.get(names)
    if kinds:
        chosen = [path.stem for kind in kinds for path in sorted(speech.glob(f"{kind}*.tsv"))]
    else:
        chosen = [name.strip() for name in names.split(",") if name.strip()]
    if not chosen:
        raise DataError(f"{speech}: no sets of kind {names!r} in it (looked for {names}*.tsv)")
    return [SpeechSet(name, tuple(read_set(speech / f"{name}.tsv"))) for name in chosen]


def read_samples(utterance: "Utterance") -> np.ndarray:
    """(n,) float32, 16 kHz mono. Raises DataError where the audio cannot be decoded."""
    import soundfile

    from asr.training.audio_store import FULL_SCALE, decode
    from asr.training.manifests import read_encoded

    try:
        pcm = decode(read_encoded(utterance.location))                              # (n,) int16
    except soundfile.LibsndfileError as error:
        raise DataError(f"{utterance.location.path}: the audio of {utterance.id} cannot be decoded: {error}") from error
    return pcm.astype(np.float32) / FULL_SCALE
