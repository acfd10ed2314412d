"""Decoded speech, kept: every utterance as int16 samples, 16 kHz mono, one after another in one memory-mapped file a set.

Decoding happens once. The file lies in a cache folder that the caller names, under the set's name and a key made of the utterances'
names and of where their audio lies, its size and its last bytes; change one and it is decoded anew. An hour takes 115 MB. Neither texts
nor times of files are part of the key: a corrected transcript and a set that was copied need no decoding.
"""

import hashlib
import io
import logging
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr.config import RATE_HZ
from asr.errors import AudioError, DataError
from asr.training.manifests import Location, Utterance, read_encoded
from asr.training.parallel import in_order

FORMAT = 2                                  # raised when the meaning of the cached files changes
LAST_BYTES = 16                             # of each utterance's encoded audio, which tell it from another of the same size
FULL_SCALE = 32768                          # int16 value of 1.0
SHORTFALL_S = 0.5                           # audio that lacks this much of what its manifest says is truncated

logger = logging.getLogger(__name__)


class DecodedSet:
    """The decoded utterances of one set: `utterances`, `starts` and `lengths` (samples, int64), and `failures` [(id, reason)]."""

    def __init__(self, name: str, pcm_path: Path, utterances: list[Utterance], starts, lengths, failures: list[tuple[str, str]]):
        self.name = name
        self.path = pcm_path
        self.utterances = utterances
        self.starts = np.asarray(starts, np.int64)                           # (num,)
        self.lengths = np.asarray(lengths, np.int64)                         # (num,)
        self.failures = failures
        self._pcm = np.memmap(pcm_path, np.int16, mode="r") if self.lengths.sum() else np.zeros(0, np.int16)

    def samples(self, index: int) -> np.ndarray:
        """int16 (n,): a read-only view of the cached file."""
        start = self.starts[index]
        return self._pcm[start:start + self.lengths[index]]


class AudioStore:
    """Several decoded sets as one list. `lengths` int64 (num,) in samples, `set_of` int64 (num,): position in `names`."""

    def __init__(self, sets: Sequence[DecodedSet]):
        self.sets = list(sets)
        self.names = [part.name for part in self.sets]
        self.utterances = [utterance for part in self.sets for utterance in part.utterances]
        self.lengths = np.concatenate([part.lengths for part in self.sets]) if self.sets else np.zeros(0, np.int64)
        self.set_of = np.repeat(np.arange(len(self.sets)), [len(part.utterances) for part in self.sets])
        self._first = np.cumsum([0] + [len(part.utterances) for part in self.sets])

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def seconds(self) -> float:
        """All audio in it."""
        return float(self.lengths.sum()) / RATE_HZ

    @property
    def failures(self) -> list[tuple[str, str, str]]:
        """What was left out because it could not be decoded: (set, utterance id, reason)."""
        return [(part.name, name, reason) for part in self.sets for name, reason in part.failures]

    def samples(self, index: int) -> np.ndarray:
        """int16 (n,): a read-only view of the cached file."""
        part, within = self.place(index)
        return self.sets[part].samples(within)

    def place(self, index: int) -> tuple[int, int]:
        """Which set an utterance is of, and which one of that set."""
        part = self.set_of[index]
        return part, index - self._first[part]


def open_store(sets: Mapping[str, list[Utterance]], cache: str | os.PathLike, threads: int = 2, progress: bool = True) -> AudioStore:
    """The decoded sets {name: utterances}; what the cache folder lacks is decoded first, with a progress bar on standard error.

    An utterance that cannot be decoded is left out, kept in `.failures` and named in a warning of this module's logger; a set of which
    nothing can be decoded, and a cache that cannot be written, raise DataError.
    """
    return AudioStore([decode_set(name, utterances, cache, threads, progress) for name, utterances in sets.items()])


def decode_set(name: str, utterances: list[Utterance], cache: str | os.PathLike, threads: int = 2, progress: bool = True) -> DecodedSet:
    """One set, from the cache or decoded into it; see open_store."""
    stem = Path(cache) / f"{name}-{_key(utterances)}"
    pcm_path, index_path = stem.with_name(stem.name + ".pcm"), stem.with_name(stem.name + ".npz")
    try:
        if not (index_path.is_file() and pcm_path.is_file()):
            pcm_path.parent.mkdir(parents=True, exist_ok=True)
            _decode_into(name, utterances, pcm_path, index_path, threads, progress)
        decoded = _open(name, utterances, pcm_path, index_path)
    except OSError as error:
        raise DataError(f"{error.filename or pcm_path}: the decoded audio cannot be kept there: {error.strerror or error}") from error
    if decoded.failures:
        named = "; ".join(f"{utterance}: {reason}" for utterance, reason in decoded.failures[:5])
        logger.warning("%s: %d of %d utterances left out, their audio cannot be decoded: %s%s", name, len(decoded.failures),
                       len(utterances), named, "; ..." if len(decoded.failures) > 5 else "")
    return decoded


def decode(encoded: bytes) -> np.ndarray:
    """int16 (n,), 16 kHz mono, of an encoded audio file of any rate and channel count. Raises AudioError with the reason."""
    try:
        samples, rate_hz = soundfile.read(io.BytesIO(encoded), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, ValueError) as error:
        raise AudioError(getattr(error, "error_string", None) or str(error)) from error
    samples = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not len(samples):
        raise AudioError("no samples in it")
    if not np.isfinite(samples).all():
        raise AudioError("samples that are not numbers")
    if rate_hz != RATE_HZ:
        samples = soxr.resample(samples, rate_hz, RATE_HZ)
    # Lossy formats overshoot full scale; a plain cast would wrap around there.
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def encode(samples: np.ndarray) -> bytes:
    """float32 (n,), 16 kHz mono, as an Opus file, the form in which sets keep audio."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="OGG", subtype="OPUS")
    return file.getvalue()


def _decode_or_reason(utterance: Utterance) -> np.ndarray | str:
    try:
        samples = decode(read_encoded(utterance.location))
    except (AudioError, DataError) as error:
        return str(error)
    found_s = len(samples) / RATE_HZ
    if utterance.seconds is not None and found_s < utterance.seconds - SHORTFALL_S:
        return f"cut short after {found_s:.2f} s of {utterance.seconds:.2f}"
    return samples


def _decode_into(name, utterances, pcm_path: Path, index_path: Path, threads: int, progress: bool) -> None:
    """Writes both files of the cache beside their places and renames them, the index last: it marks the pair as whole."""
    ids, starts, lengths, failures, position = [], [], [], [], 0
    part = pcm_path.with_name(f"{pcm_path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:                                      # libsndfile runs outside Python's lock
            done = in_order(_decode_or_reason, utterances, f"decoding {name}", threads, progress)
            for utterance, decoded in zip(utterances, done, strict=True):
                if isinstance(decoded, str):
                    failures.append((utterance.id, decoded))
                    continue
                ids.append(utterance.id)
                starts.append(position)
                lengths.append(len(decoded))
                position += len(decoded)
                file.write(decoded.data)
        if not ids:
            raise DataError(f"{utterances[0].location.path}: no audio of {name} could be decoded; first reason: {failures[0][1]}")
        os.replace(part, pcm_path)
    finally:
        part.unlink(missing_ok=True)
    part = index_path.with_name(f"{index_path.name}.{os.getpid()}.part")
    with open(part, "wb") as file:
        np.savez(file, ids=np.array(ids), starts=np.array(starts, np.int64), lengths=np.array(lengths, np.int64),
                 failures=np.array(failures, dtype=str).reshape(-1, 2))
    os.replace(part, index_path)


def _open(name: str, utterances: list[Utterance], pcm_path: Path, index_path: Path) -> DecodedSet:
    try:
        with open(index_path, "rb") as file, np.load(file) as index:
            ids, starts, lengths, failures = (index[key] for key in ("ids", "starts", "lengths", "failures"))
        whole = pcm_path.stat().st_size == 2 * lengths.sum()
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        whole = False
    if not whole:
        raise DataError(f"{pcm_path}: does not fit its index {index_path.name}; delete both and they are made again")
    by_id = {utterance.id: utterance for utterance in utterances}
    kept = [by_id[str(name)] for name in ids]
    return DecodedSet(name, pcm_path, kept, starts, lengths, [(str(name), str(reason)) for name, reason in failures])


def _key(utterances: list[Utterance]) -> str:
    digest = hashlib.sha256(f"format {FORMAT}\n".encode())
    for utterance in utterances:
        whole = utterance.location
        size = min(LAST_BYTES, whole.size)
        end = read_encoded(Location(whole.path, whole.offset + whole.size - size, size))
        digest.update(f"{utterance.id} {whole.offset} {whole.size} {end.hex()}\n".encode())
    return digest.hexdigest()[:16]
