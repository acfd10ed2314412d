"""Hours of sound through the very path that `asr live` has, as fast as it can be heard: does it grow, slow down or lose anything?

The process that listens is one of its own: a thread delivers blocks as a sound card does, the worker recognises them, writes the session
and shows lines in a pipe. The next blocks come when the worker has taken what waits, so steps are as long as they are live, and
nothing needs to be dropped.

    soak_hours             of sound
    soak_memory_growth     highest resident memory after the first ten minutes of sound, less what it was then
    soak_rtf_first, _last  processor time for a second of sound, in the first and in the last quarter
    soak_finals, soak_words    in the session's file at its end
    soak_lost              seconds of sound that were delivered and did not get to the recogniser
    soak_unheard           utterances in the sound during which no word of any final is
"""

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asr.benchmark.programme import Sound, spoken_s
from asr.benchmark.sets import read_samples
from asr.benchmark.workers import memory_mb, prepare
from asr.client.capture import CaptureQueue
from asr.client.display import Display
from asr.client.models import Models, load_models
from asr.client.recognizer import StreamingRecognizer
from asr.client.requests import Stop
from asr.client.session import SessionFile, find_sessions, read_session
from asr.client.worker import Outputs, run
from asr.config import RATE_HZ
from asr.errors import AsrError
from asr.processes import end_with_parent

if TYPE_CHECKING:
    from asr.training.manifests import Utterance

CHUNK_MS = 320
BLOCK_S = 0.02                       # as often as a sound card delivers
SETTLED_S = 600.0                    # memory is compared with that after so much sound ...
SETTLED_SHARE = 1 / 6                # ... or, in a soak of less than an hour, after this share of it
LOOK_EVERY_S = 10.0                  # at memory, in seconds of sound
POLL_S = 0.002


class Firehose:
    """In place of a microphone: delivers `total` samples of a sound, a chunk at a time, whenever all that came before is taken."""

    name, tail_s, overflows, problem, may_return = "the soak", 0.0, 0, None, False
    rate_hz = RATE_HZ

    def __init__(self, sound: Sound, total: int):
        self.queue = CaptureQueue(RATE_HZ)
        self.started = datetime.now(UTC)
        self.ended = False
        self.delivered = 0           # samples
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._deliver, args=(sound, total), name="firehose", daemon=True)
        self._thread.start()

    def _deliver(self, sound: Sound, total: int):
        try:
            for block in sound.blocks(total, round(BLOCK_S * RATE_HZ)):
                while self.queue.waiting_s >= CHUNK_MS / 1000:
                    if self._stop.wait(POLL_S):
                        return
                self.queue.put(block)
                self.delivered += len(block)
        finally:
            self.ended = True

    def close(self):
        """Deliver nothing more."""
        self._stop.set()
        self._thread.join()


class Watch:
    """A screen that shows nothing and looks at the process as the sound goes by."""

    def __init__(self, source: Firehose, total: int, advance: Callable[[float], None], memory: Callable[[], float | None] = memory_mb):
        self._source, self._total_s, self._advance, self._memory = source, total / RATE_HZ, advance, memory
        self._settled_s = min(SETTLED_S, SETTLED_SHARE * self._total_s)
        self._looked_s = -LOOK_EVERY_S
        self._marks: list[tuple[float, float]] = [(0.0, time.process_time())]           # seconds of sound, processor time
        self._settled_mb: float | None = None
        self._highest_mb: float | None = None
        self.remarks: list[str] = []

    def show(self, caption):
        """Nothing."""

    def remark(self, text: str):
        """A soak gives no cause for any: what is told here is told in the end."""
        self.remarks.append(text)

    def status(self, _status):
        """After each step."""
        heard_s = self._source.delivered / RATE_HZ - self._source.queue.waiting_s
        if len(self._marks) < 4 and heard_s >= len(self._marks) / 4 * self._total_s:
            self._marks.append((heard_s, time.process_time()))
        if heard_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = heard_s
        self._advance(heard_s)
        memory_mb = self._memory()
        if memory_mb is None or heard_s < self._settled_s:
            return
        self._settled_mb = self._settled_mb or memory_mb
        self._highest_mb = max(self._highest_mb or 0.0, memory_mb)

    def close(self):
        """The end of the last quarter."""
        self._marks.append((self._source.delivered / RATE_HZ, time.process_time()))

    def figures(self) -> dict[str, float]:
        """Those of memory, where the system tells it, and of time."""
        figures = {}
        if self._highest_mb:
            figures = {"soak_memory_growth": self._highest_mb - self._settled_mb}
        for name, quarter in (("soak_rtf_first", 0), ("soak_rtf_last", -2)):
            (from_s, from_cpu_s), (to_s, to_cpu_s) = self._marks[quarter], self._marks[quarter + 1]
            figures[name] = (to_cpu_s - from_cpu_s) / (to_s - from_s)
        return figures


class Counted(StreamingRecognizer):
    """Counts what it is given."""

    given = 0                        # samples

    def feed(self, samples):
        """As its base."""
        self.given += len(samples)
        return super().feed(samples)


@dataclass(frozen=True)
class Soaked:
    """What came of one: figures by name, in the units of rows.METRICS, and what is to be told besides: there should be nothing."""

    figures: dict[str, float]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Listened:
    """What the listening process knows at its end: `delivered` and `given` to the recogniser are samples, `lines` came out of the pipe."""

    figures: dict[str, float]
    delivered: int
    given: int
    lines: int
    lengths: tuple[int, ...]         # of the utterances, in samples
    remarks: tuple[str, ...]


def soak(utterances: "Sequence[Utterance]", hours: float, load: Callable = load_models,
         advance: Callable[[float], None] = lambda heard_s: None) -> Soaked:
    """Figures of `hours` of sound made of the utterances, heard in a process of its own with the models that `load()` loads there.

    `advance(seconds heard)` is called on the way. Raises what that process raises, and AsrError where it is killed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        listening = context.Process(target=_in_process, args=(theirs, utterances, hours, load, folder))
        listening.start()
        theirs.close()               # the end of the process is then the end of what can be received
        try:
            while isinstance(told := ours.recv(), float):
                advance(told)
        except EOFError:
            listening.join()
            raise AsrError(f"the process that listens was ended, status {listening.exitcode}; the system's log may say why") from None
        except BaseException:
            listening.kill()
            raise
        finally:
            listening.join()
        if isinstance(told, Exception):
            raise told
        return accounted(told, Path(folder))


def accounted(listened: Listened, folder: Path) -> Soaked:
    """What was listened to, held against the session in a folder."""
    finals = [final for path in find_sessions(folder) for final in read_session(path).finals]              # one file, or none without words
    words = [word for final in finals for word in final.words]
    starts_s = np.array([word.start_s for word in words])
    ends_s = np.array([word.end_s for word in words])
    unheard = sum(not np.any((starts_s < end_s) & (ends_s > start_s)) for start_s, end_s in spoken_s(listened.lengths, listened.delivered))
    remarks = listened.remarks
    if listened.lines != len(finals):
        remarks = (*remarks, f"{listened.lines} lines came through the pipe and {len(finals)} finals are in the session")
    return Soaked({**listened.figures, "soak_finals": len(finals), "soak_words": len(words), "soak_unheard": unheard,
                   "soak_lost": (listened.delivered - listened.given) / RATE_HZ}, remarks)


def _in_process(theirs: Connection, utterances: "Sequence[Utterance]", hours: float, load: Callable, folder: str):
    end_with_parent()
    prepare()
    try:
        theirs.send(listen(Sound([read_samples(utterance) for utterance in utterances]), hours, load(), Path(folder), theirs.send))
    except Exception as error:       # raised by the process that waits
        theirs.send(error)


def listen(sound: Sound, hours: float, models: Models, folder: Path, advance: Callable[[float], None]) -> Listened:
    """Hear `hours` of a sound here, with the session in a folder. `advance(seconds heard)` is called on the way."""
    total = round(hours * 3600 * RATE_HZ)
    recognizer = Counted(chunk_ms=CHUNK_MS, models=models)
    reading, writing = os.pipe()
    lines: list[int] = []
    with open(reading, encoding="utf-8") as reader, open(writing, "w", encoding="utf-8") as writer:
        counting = threading.Thread(target=lambda: lines.append(sum(1 for _line in reader)), daemon=True)
        counting.start()
        source = Firehose(sound, total)
        watch = Watch(source, total, advance)
        session = SessionFile(folder, source.name, models.acoustic.bundle.name, watch.remark, CHUNK_MS, source.started)
        run(source, recognizer, Outputs((Display(writer, writer), watch), session), Stop())
        writer.close()
        counting.join()
    return Listened(watch.figures() | {"soak_hours": hours}, source.delivered + source.queue.dropped, recognizer.given, lines[0],
                    tuple(sound.lengths), tuple(watch.remarks))
