"""Speech made from text: a folder of Opus files and a manifest that `asr train` reads, by several processes, resumable.

What is said by whom, how fast and how loud follows from the seed, the text and the round alone, so that a run which was stopped goes on as
if it had not been, on any number of cores. A teacher may listen: what it understands otherwise than written is dropped, and remembered.
"""

import hashlib
import itertools
import signal
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soxr

from asr.config import RATE_HZ
from asr.errors import DataError
from asr.processes import worker_pool
from asr.text import normalise
from asr.training.audio_store import encode
from asr.training.manifests import COLUMNS, read_table
from asr.training.voices import ENGINES

MANIFEST = "utterances.tsv"
DROPPED = "dropped.txt"              # ids of what was spoken badly, and why
EDGE_S = (0.1, 0.3)                  # of silence kept at either end
PEAK_DB = (-12.0, -1.0)
LOUD = 0.02                          # of the peak: what is fainter at the ends is silence
LEAST_S, MOST_S = 0.5, 20.0
MOST_ERRORS = 0.34                   # part of a text's words that the teacher may hear otherwise: of three words, one
FRUITLESS = 20                       # clips dropped in a row, and as many as the text has sentences, end the run
PLAIN = str.maketrans("’‘“”–—", "''\"\"--")


@dataclass(frozen=True)
class Order:
    """What the worker processes need to know."""

    engine: str
    voices: Path | None
    seed: int
    speakers: int
    teacher: Callable | None = None  # makes an object whose `transcribe(samples)` gives a text


@dataclass(frozen=True)
class Clip:
    """One utterance spoken: either Opus bytes, or the reason why it is dropped."""

    name: str
    text: str
    speaker: str = ""
    seconds: float = 0.0
    opus: bytes = b""
    dropped: str = ""


@dataclass
class Made:
    """What a folder holds."""

    utterances: int = 0
    seconds: float = 0.0
    speakers: int = 0
    dropped: Counter = field(default_factory=Counter)


def synthesize(sentences: Callable[[], Iterable[str]], out: Path, hours: float, order: Order, jobs: int,
               report: Callable[[float], None] = lambda seconds: None) -> Made:
    """Speak sentences, round after round, until the folder `out` holds `hours`; each round has other voices.

    `report` hears of the seconds that each utterance adds, first of those that were there. Raises DataError where the folder cannot be
    written; what was made stays usable, and the same call goes on.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = _Folder(out)
        report(folder.made.seconds)
        with _workers(order, jobs) as pool:
            for clip in _spoken(pool, _tasks(sentences, folder, order), 2 * jobs, lambda: folder.made.seconds >= 3600 * hours):
                folder.add(clip, ENGINES[order.engine].source)
                report(clip.seconds)
        return folder.made
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror or error}; what is there can be used, and the same command goes on") \
            from error


class _Folder:
    """The files and the manifest, a row at a time."""

    def __init__(self, out: Path):
        self._out, self._manifest = out, out / MANIFEST
        self.made, self.known, self._speakers = Made(), set(), set()
        self.fruitless = 0                                                # clips dropped since the last that was kept
        if not self._manifest.exists():
            self._manifest.write_text("\t".join(COLUMNS) + "\n", encoding="utf-8")
        text = self._manifest.read_text(encoding="utf-8")
        if not text.endswith("\n"):                                       # the power went while a row was written
            text = text[: text.rfind("\n") + 1]
            self._manifest.write_text(text, encoding="utf-8")
        if text.partition("\n")[0].split("\t") != list(COLUMNS):
            raise DataError(f"{self._manifest}: not a manifest of `asr synthesize`; give another folder")
        for _, row in read_table(self._manifest, COLUMNS):
            self._count(row["utterance"], row["speaker"], float(row["seconds"]))
        dropped = out / DROPPED
        for line in dropped.read_text(encoding="utf-8").splitlines() if dropped.exists() else ():
            name, _, reason = line.partition("\t")
            self.known.add(name)
            self.made.dropped[reason] += 1

    def add(self, clip: Clip, source: str) -> None:
        """Keep a clip, or that it was dropped."""
        if clip.dropped:
            with (self._out / DROPPED).open("a", encoding="utf-8") as file:
                file.write(f"{clip.name}\t{clip.dropped}\n")
            self.known.add(clip.name)
            self.made.dropped[clip.dropped] += 1
            self.fruitless += 1
            return
        (self._out / f"{clip.name}.opus").write_bytes(clip.opus)
        row = (clip.name, clip.speaker, f"{clip.seconds:.2f}", source, "synthetic", "", clip.text)
        with self._manifest.open("a", encoding="utf-8") as file:          # after its audio: a row is always whole
            file.write("\t".join(row) + "\n")
        self._count(clip.name, clip.speaker, clip.seconds)
        self.fruitless = 0

    def _count(self, name: str, speaker: str, seconds: float) -> None:
        self.known.add(name)
        self._speakers.add(speaker)
        self.made.utterances += 1
        self.made.seconds += seconds
        self.made.speakers = len(self._speakers)


def _tasks(sentences: Callable[[], Iterable[str]], folder: _Folder, order: Order) -> Iterator[tuple[str, str, int]]:
    """Name, text and seed of every utterance that is not there yet; ends where further rounds add nothing."""
    for number in itertools.count():
        count = 0
        for count, text in enumerate(sentences(), start=1):                # noqa: B007 (how many there are)
            digest = hashlib.sha256(f"{order.engine} {order.seed} {number} {text}".encode()).digest()
            name = f"{order.engine}-{digest[:6].hex()}"
            if name not in folder.known:
                yield name, text, int.from_bytes(digest[:8], "big")
        if folder.fruitless >= max(FRUITLESS, count):
            return


def _spoken(pool: ProcessPoolExecutor, tasks: Iterator[tuple[str, str, int]], ahead: int, enough: Callable[[], bool]) -> Iterator[Clip]:
    """The clips as they are done, with `ahead` of them under way, until it is enough."""
    waiting: list[Future] = []
    try:
        while not enough():
            waiting += [pool.submit(_speak, *task) for task in itertools.islice(tasks, ahead - len(waiting))]
            if not waiting:
                return
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            first = next(future for future in waiting if future in done)  # one process speaks them in order
            waiting.remove(first)
            yield first.result()
    finally:
        for future in waiting:
            future.cancel()


def _workers(order: Order, jobs: int) -> ProcessPoolExecutor:
    return worker_pool(jobs, _begin, order)


_worker: tuple = ()                  # of a worker process: its engine and its teacher


def _begin(order: Order) -> None:
    global _worker                                                        # noqa: PLW0603 (a process holds one engine)
    signal.signal(signal.SIGINT, signal.SIG_IGN)                          # Ctrl-C is the parent's to hear
    _worker = ENGINES[order.engine](order.voices, order.seed, order.speakers), order.teacher and order.teacher()


def _speak(name: str, text: str, seed: int) -> Clip:
    engine, teacher = _worker
    rng = np.random.default_rng(seed)
    speaker = engine.speaker(rng)
    speed = float(np.exp(rng.uniform(*np.log(engine.speeds))))
    try:
        samples = engine.speak(plain(text), speaker, speed / speaker.warp)
    except ValueError:
        return Clip(name, text, dropped="cannot be spoken")
    samples = trimmed(samples, engine.rate_hz * speaker.warp, rng)
    seconds = len(samples) / RATE_HZ
    if not LEAST_S <= seconds <= MOST_S:
        return Clip(name, text, dropped=f"not between {LEAST_S} and {MOST_S:g} s")
    if teacher and word_errors(text, teacher.transcribe(samples)) > MOST_ERRORS:
        return Clip(name, text, dropped="understood otherwise by the teacher")
    return Clip(name, text, speaker.name, seconds, encode(samples))


def plain(text: str) -> str:
    """The text as the engines read it safely: no accents or curly quotes, no shouting, which they would spell."""
    text = unicodedata.normalize("NFKD", text.translate(PLAIN))
    text = "".join(sign for sign in text if not unicodedata.combining(sign))
    return text.capitalize() if text.isupper() and len(text.split()) > 1 else text


def trimmed(samples: np.ndarray, rate_hz: float, rng: np.random.Generator) -> np.ndarray:
    """samples (n,) at any rate -> float32 at 16 kHz, with a little silence at either end and a peak drawn at random; empty for silence."""
    samples = soxr.resample(np.asarray(samples, np.float32), rate_hz, RATE_HZ)
    peak = np.abs(samples).max(initial=0.0)
    if not peak > 0:
        return samples[:0]
    loud = np.flatnonzero(np.abs(samples) > LOUD * peak)
    before, after = (rng.uniform(*EDGE_S, 2) * RATE_HZ).astype(int)
    samples = samples[max(0, loud[0] - before): loud[-1] + after]
    return samples * np.float32(10 ** (rng.uniform(*PEAK_DB) / 20) / peak)


def word_errors(text: str, heard: str) -> float:
    """Words of `text` that were heard otherwise, as a part of them; both are brought into the normal form."""
    import jiwer

    reference = normalise(text)
    return jiwer.wer(reference, normalise(heard)) if reference else 1.0
