"""The loop of live captions: take all audio that waits, recognise, show. It runs in the main thread; a source delivers into a queue."""

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from asr.audio import mono
from asr.client.captions import Final, Partial
from asr.client.capture import CaptureQueue
from asr.client.recognizer import StreamingRecognizer
from asr.client.recording import Recording
from asr.client.session import SessionFile
from asr.errors import AsrError

WAIT_S = 0.1                         # how soon the end of a source, a stop and a dead device are noticed
BEHIND_S = 1.0                       # audio still waiting after a step, from which on the user is told
REMARK_EVERY_S = 2.0
REOPEN_EVERY_S = 1.0


class Source(Protocol):
    """What delivers audio into a queue: a Microphone, or a Playback of a file."""

    name: str
    rate_hz: float
    queue: CaptureQueue
    tail_s: float                    # go on recording this long after a stop
    overflows: int
    ended: bool
    problem: AsrError | None
    may_return: bool                 # whether `reopen` can help after a problem

    def reopen(self) -> bool:
        """Try to open it anew; whether it delivers again, at `rate_hz` into `queue`, which may be others."""

    def close(self):
        """Deliver nothing more; what is in the queue stays there."""


class Stop:
    """Set by a signal; the worker then finishes what was said."""

    def __init__(self):
        self.at_s: float | None = None

    def set(self, *_signal):
        """Ask to stop now. A second time ends at once, as Ctrl-C does."""
        if self.at_s is not None:
            raise KeyboardInterrupt
        self.at_s = time.monotonic()


class Screen(Protocol):
    """Where captions are seen. What it is told comes from the worker's thread alone."""

    def show(self, caption: Partial | Final):
        """A caption, in order: a partial takes the place of the one before, a final that of its partial, for good."""

    def remark(self, text: str):
        """A line for the user that is no caption."""

    def close(self):
        """After the last caption."""


@dataclass(frozen=True)
class Outputs:
    """Where captions go: into the session's file first, then on the screens; and the sound, where it is recorded."""

    screens: tuple[Screen, ...]
    session: SessionFile | None = None
    recording: Recording | None = None

    def show(self, captions: list[Partial | Final]):
        """In their order."""
        for caption in captions:
            if self.session and isinstance(caption, Final):
                self.session.add(caption)
            for screen in self.screens:
                screen.show(caption)

    def remark(self, text: str):
        """Tell the user, on every screen."""
        for screen in self.screens:
            screen.remark(text)

    def close(self):
        """After the last caption."""
        for output in (self.recording, self.session, *self.screens):
            if output:
                output.close()


def run(source: Source, recognizer: StreamingRecognizer, outputs: Outputs, stop: Stop):
    """Caption `source` until it ends or `stop` is set; then show what was heard so far as finals. A device that is lost is waited for.

    Raises what is the matter with a source that cannot come back, after the last final.
    """
    while _caption(source, recognizer, outputs, stop):
        if not _wait_for(source, recognizer, outputs, stop):
            break
    outputs.close()
    if source.problem and not source.may_return:
        raise source.problem


def _caption(source: Source, recognizer: StreamingRecognizer, outputs: Outputs, stop: Stop) -> bool:
    """Caption until the end, a stop or a problem; whether the source may come back."""
    remarks = Remarks(outputs)
    while not (problem := source.problem) and not (stop.at_s and time.monotonic() >= stop.at_s + source.tail_s):
        ended = source.ended         # before taking: what is put last is then surely taken
        taken = _step(source, recognizer, outputs, remarks, WAIT_S)
        if ended and not taken:
            break
    if not problem or not source.may_return:
        source.close()
    while _step(source, recognizer, outputs, remarks, 0):
        pass
    outputs.show(recognizer.flush())
    return bool(problem) and source.may_return


def _wait_for(source: Source, recognizer: StreamingRecognizer, outputs: Outputs, stop: Stop) -> bool:
    """Try to open a lost device until it is back; False when the user stops before. The time without it counts as silence."""
    lost_s, rate_hz = source.queue.last_put_s, source.rate_hz
    outputs.remark(f"asr: {source.problem}; plug it in again and captions go on, Ctrl-C ends")
    while not source.reopen():
        next_s = time.monotonic() + REOPEN_EVERY_S
        while time.monotonic() < next_s:
            if stop.at_s:
                return False
            time.sleep(WAIT_S)
    silent = round((time.monotonic() - lost_s) * rate_hz)
    if outputs.recording:
        outputs.recording.add_silence(silent)
        outputs.recording.change_rate(source.rate_hz)
    outputs.show(recognizer.skip(silent, source.rate_hz))
    outputs.remark(f"listening to {source.name} again, after {silent / rate_hz:.0f} s")
    return True


def _step(source: Source, recognizer: StreamingRecognizer, outputs: Outputs, remarks: "Remarks", wait_s: float) -> bool:
    """Recognise all that waits; whether there was anything."""
    taken = source.queue.take(wait_s)
    if not taken:
        return False
    started_s = time.perf_counter()
    stretches: list[tuple[int, list[np.ndarray]]] = []                       # samples dropped before, blocks without a gap
    for block in taken:
        if block.dropped or not stretches:
            stretches.append((block.dropped, []))
        stretches[-1][1].append(mono(block.samples))
    for dropped, blocks in stretches:
        samples = np.concatenate(blocks)
        if outputs.recording:
            outputs.recording.add_silence(dropped)
            outputs.recording.add(samples)
        captions = recognizer.skip(dropped) if dropped else []
        outputs.show(captions + recognizer.feed(samples))
    heard_s = sum(len(block.samples) for block in taken) / source.rate_hz
    remarks.after_step(source, time.perf_counter() - started_s, heard_s)
    return True


class Remarks:
    """Tells the user, at most every 2 s, of audio that was lost and of a machine that is too slow."""

    def __init__(self, outputs: Outputs):
        self._outputs = outputs
        self._told_s = -REMARK_EVERY_S
        self._dropped = self._overflows = 0

    def after_step(self, source: Source, took_s: float, heard_s: float):
        """To be called after each step: it took `took_s` for `heard_s` of audio."""
        now_s, queue = time.monotonic(), source.queue
        if now_s - self._told_s < REMARK_EVERY_S:
            return
        parts = []
        if queue.dropped > self._dropped:
            parts.append(f"{(queue.dropped - self._dropped) / queue.rate_hz:.1f} s of sound dropped")
        if source.overflows > self._overflows:
            parts.append(f"the system lost sound {source.overflows - self._overflows} times")
        if (queue.waiting_s > BEHIND_S and took_s > heard_s) or queue.dropped > self._dropped:
            parts.append(f"this machine cannot keep up: {1000 * took_s:.0f} ms of work where {1000 * heard_s:.0f} ms are allowed, "
                         f"{queue.waiting_s:.1f} s behind; try --decoder greedy or a longer --chunk-ms")
        if parts:
            self._outputs.remark("; ".join(parts))
            self._told_s, self._dropped, self._overflows = now_s, queue.dropped, source.overflows
