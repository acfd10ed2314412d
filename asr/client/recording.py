"""The sound of a session, kept beside its transcript: FLAC, mono, at the source's rate, in parts of ten minutes at most.

A part is named in the session file when it begins. Each write goes to the disk as far as FLAC's blocks allow (4096 samples), so a
program that is killed loses a quarter of a second; such a part lacks its length and is read all the same.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from asr.audio import open_audio
from asr.client.session import SessionFile
from asr.errors import AudioError
from asr.resample import Resampler

PART_S = 600.0
FULL_BYTES = 1 << 16                 # less room than this is none for sound


class Recording:
    """Feed it all that is heard, in order. A disk that fails ends the recording, told in one line; what was written stays."""

    def __init__(self, session: SessionFile, rate_hz: float, tell: Callable[[str], None], part_s: float = PART_S):
        self._session, self._rate_hz, self._tell, self._part_s = session, round(rate_hz), tell, part_s
        self._file: soundfile.SoundFile | None = None
        self._parts = self._written = 0                      # samples of this part
        self._failed = False

    def add(self, samples: np.ndarray) -> None:
        """(n,) float32, in [-1, 1]."""
        while len(samples) and not self._failed:
            count = self._part_samples - (self._written if self._file else 0)
            self._put(samples[:count])
            samples = samples[count:]

    def add_silence(self, num_samples: int) -> None:
        """In place of sound that was lost, so that times stay right."""
        second = np.zeros(self._rate_hz, np.float32)
        while num_samples > 0:
            self.add(second[:num_samples])
            num_samples -= len(second)

    def change_rate(self, rate_hz: float) -> None:
        """What is fed next is at another rate."""
        if round(rate_hz) != self._rate_hz:
            self.close()
            self._rate_hz = round(rate_hz)

    def close(self) -> None:
        """End the part that is being written."""
        if self._file:
            with contextlib.suppress(soundfile.SoundFileError):
                self._file.close()
            self._file = None

    @property
    def _part_samples(self) -> int:
        return round(self._part_s * self._rate_hz)

    def _put(self, samples: np.ndarray) -> None:
        path = self._session.path.with_name(f"{self._session.path.stem}-{self._parts + (not self._file):03d}.flac")
        try:
            if not self._file:
                self._begin(path)
            self._file.write(np.clip(samples, -1, 1))
            self._file.flush()
        except (OSError, soundfile.SoundFileError) as error:
            self._failed = True
            self._tell(f"asr: {path}: {_reason(error, path.parent)}; the sound is not recorded any more, captions go on")
            self.close()
            return
        self._written += len(samples)
        if self._written >= self._part_samples:
            self.close()

    def _begin(self, path: Path) -> None:
        self._file = soundfile.SoundFile(path, "w", self._rate_hz, 1, "PCM_16", format="FLAC")
        self._parts, self._written = self._parts + 1, 0
        self._session.add_audio(path.name)


def _reason(error: OSError | soundfile.SoundFileError, folder: Path) -> str:
    """Why a write failed, as far as it can be told: libsndfile keeps the system's reason to itself ("System error.")."""
    if not isinstance(error, OSError) and shutil.disk_usage(folder).free < FULL_BYTES:
        return os.strerror(errno.ENOSPC)
    return getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)


def read_parts(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    """The sound of all parts, one after another, in blocks (n,) float32 at 16 kHz. Raises AudioError for a part that is not there.

    A part that was cut off when the program was killed gives what it holds.
    """
    for path in paths:
        open_audio(path).close()     # all are there, before anything is recognised
    return _blocks(paths)


def _blocks(paths: Sequence[Path]) -> Iterator[np.ndarray]:
    resampler = None
    for path in paths:
        with open_audio(path) as audio, contextlib.suppress(AudioError):
            if resampler is None or resampler.rate_hz != audio.rate_hz:
                if resampler:
                    yield resampler.flush()
                resampler = Resampler(audio.rate_hz)
            for block in audio:
                yield resampler.feed(block)
    yield resampler.flush()
