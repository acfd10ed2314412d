"""Small sets of speech-like sounds, written in the layouts that training reads."""

import io
import tarfile
from pathlib import Path

import numpy as np
import soundfile

from asr.config import RATE_HZ

HEADER = "utterance\tspeaker\tseconds\tsource\tlabel\tscore\ttext\n"


def voice(seconds: float, seed: int = 0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """float32 (n,): harmonics of a wandering pitch in syllables, four a second, with pauses between; of no words."""
    rng = np.random.default_rng(seed)
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * np.cumsum(rng.uniform(100, 200) * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * times_s))) / rate_hz
    waves = sum(np.sin(harmonic * phase + rng.uniform(0, 6)) / harmonic for harmonic in range(1, 20))
    return (0.1 * waves * np.maximum(np.sin(2 * np.pi * 4 * times_s + rng.uniform(0, 6)), 0)).astype(np.float32)


def encoded(samples: np.ndarray, rate_hz: int = RATE_HZ, format: str = "FLAC", subtype: str | None = None) -> bytes:
    """The samples as a file of that format."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=format, subtype=subtype)
    return file.getvalue()


def write_set(folder: Path, name: str, seconds: list[float], texts: list[str] | None = None) -> Path:
    """NAME.tar and NAME.tsv with an utterance of each length, called NAME-0, NAME-1, ...; the path without suffix comes out."""
    rows = [HEADER]
    with tarfile.open(folder / f"{name}.tar", "w") as tar:
        for number, length in enumerate(seconds):
            add_to_tar(tar, f"{name}-{number}.flac", encoded(voice(length, seed=number)))
            text = texts[number] if texts else f"text {number}"
            rows.append(f"{name}-{number}\tspeaker{number % 3}\t{length:.2f}\tmade\thuman\t\t{text}\n")
    (folder / f"{name}.tsv").write_text("".join(rows), encoding="utf-8")
    return folder / name


def add_to_tar(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """One more member."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
