"""The loop of live captions: take all audio that waits, recognise, show. It runs in the main thread; a source delivers into a queue."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

import numpy as np

from asr.audio import mono
from asr.client.captions import Final, Partial
from asr.client.capture import CaptureQueue
from asr.client.pace import Pace
from asr.client.recognizer import StreamingRecognizer
from asr.client.recording import Recording
from asr.client.requests import Request, Requests, Stop
from asr.client.session import SessionFile
from asr.client.status import Gauge, Status
from asr.errors import AsrError

WAIT_S = 0.1                         # how soon the end of a source, a stop and a dead device are noticed
BEHIND_S = 1.0                       # audio still waiting after a step, from which on the user is told
REMARK_EVERY_S = 10.0                # more often, they would crowd out the captions
REOPEN_EVERY_S = 1.0


class Source(Protocol):
    """What delivers audio into a queue: a Microphone, a Mix of several, or a Playback of a file."""

    name: str                        # may change: devices of a mix come and go
    rate_hz: float
    started: datetime                # when it was opened first
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


class Screen(Protocol):
    """Where captions are seen. What it is told comes from the worker's thread alone."""

    def show(self, caption: Partial | Final):
        """A caption, in order: a partial takes the place of the one before, a final that of its partial, for good."""

    def remark(self, text: str):
        """A line for the user that is no caption."""

    def close(self):
        """After the last caption."""


@runtime_checkable
class Panel(Protocol):
    """What a screen may also do: show how the listening goes."""

    def status(self, status: Status):
        """At every step, some fifty times a second; only the newest counts. The first comes when there is sound."""


@dataclass
class Outputs:
    """Where captions go: into the session's file first, then on the screens; and the sound, where it is recorded.

    A screen that fails (its window was closed, its reader has left) is told nothing more and is the `failure`.
    """

    screens: tuple[Screen, ...]
    session: SessionFile | None = None
    recording: Recording | None = None
    steady: bool = False             # show no word before it is committed
    failure: OSError | None = None

    def show(self, captions: list[Partial | Final]):
        """In their order."""
        for caption in captions:
            if self.session and isinstance(caption, Final):
                self.session.add(caption)
            self._on_screens(lambda screen, caption=caption: screen.show(caption))

    def remark(self, text: str):
        """Tell the user, on every screen."""
        self._on_screens(lambda screen: screen.remark(text))

    def mark(self, at_s: float, started: datetime):
        """Mark a moment, `at_s` from when it `started`, in the session."""
        if self.session:
            self.session.add_mark(at_s)
        moment = (started + timedelta(seconds=at_s)).astimezone()
        self.remark(f"marked at {moment:%H:%M:%S}" + ("" if self.session else ", in this view alone: the session is not kept"))

    def status(self, status: Status):
        """How the listening goes, on the screens that show it."""
        self._on_screens(lambda screen: screen.status(status) if isinstance(screen, Panel) else None)

    def close(self):
        """After the last caption."""
        for output in (self.recording, self.session, *self.screens):
            if output:
                output.close()

    def _on_screens(self, tell: Callable[[Screen], None]):
        for screen in self.screens:
            try:
                tell(screen)
            except OSError as error:
                self.screens = tuple(other for other in self.screens if other is not screen)
                self.failure = error


def run(source: Source, recognizer: StreamingRecognizer, outputs: Outputs, stop: Stop, requests: Requests | None = None):
    """Caption `source` until it ends or `stop` is set; then show what was heard so far as finals. A device that is lost is waited for.

    A screen that fails ends it as a stop does. After the last final it raises that failure, or what is the matter with a source that
    cannot come back.
    """
    listening = _Listening(source, recognizer, outputs, stop, requests or Requests())
    while listening.caption():
        if not listening.wait():
            break
    outputs.close()
    if outputs.failure:
        raise outputs.failure
    if source.problem and not source.may_return:
        raise source.problem


class _Listening:
    """One run over a source."""

    def __init__(self, source: Source, recognizer: StreamingRecognizer, outputs: Outputs, stop: Stop, requests: Requests):
        self._source, self._recognizer, self._outputs, self._stop, self._requests = source, recognizer, outputs, stop, requests
        self._gauge, self._pace = Gauge(), Pace(recognizer)
        self._name = source.name     # as the user was told
        self._paused = False
        self._unheard = 0            # samples that passed while paused, for the recognizer still to skip
        self._problem: AsrError | None = None                # why the source was left

    def caption(self) -> bool:
        """Caption until the end, a stop or a problem; whether the source may come back."""
        source, remarks = self._source, Remarks(self._outputs, self._pace)
        while not (problem := source.problem) and not self._is_to_stop(source.tail_s):
            ended = source.ended     # before taking: what is put last is then surely taken
            taken = self._step(remarks, WAIT_S)
            if ended and not taken:
                break
            self._do_requests(remarks)
            self._tell_status()
            if source.name != self._name:
                self._name = source.name
                self._outputs.remark(f"listening to {self._name}")
        self._problem = problem
        self._do_requests(remarks)   # a mark set just before quitting
        if not problem or not source.may_return:
            source.close()
        while self._step(remarks, 0):
            pass
        self._show(self._recognizer.flush())
        self._tell_status()
        return bool(problem) and source.may_return

    def wait(self) -> bool:
        """Try to open a lost device until it is back; False when the user stops before. The time without it counts as silence, and a
        moment of it can be marked.
        """
        source, outputs, remarks = self._source, self._outputs, Remarks(self._outputs, self._pace)
        lost_s, rate_hz = source.queue.last_put_s, source.rate_hz
        outputs.remark(f"asr: {self._problem}; plug it in again and captions go on, Ctrl-C ends")
        self._gauge.lose_device()
        self._tell_status()
        while not source.reopen():
            next_s = time.monotonic() + REOPEN_EVERY_S
            while time.monotonic() < next_s:
                stops = self._is_to_stop()                   # before the requests: a mark set just before quitting is among them
                self._do_requests(remarks, time.monotonic() - lost_s)
                if stops:
                    return False
                time.sleep(WAIT_S)
        silent = round((time.monotonic() - lost_s) * rate_hz)
        self._gauge.open_again(silent / rate_hz)
        self._skip(silent + self._unheard, source.rate_hz)
        self._name = source.name
        outputs.remark(f"listening to {source.name} again, after {silent / rate_hz:.0f} s")
        return True

    def _is_to_stop(self, tail_s: float = 0.0) -> bool:
        """Whether a screen has failed, or a stop was asked for `tail_s` ago."""
        return bool(self._outputs.failure) or (self._stop.at_s is not None and time.monotonic() >= self._stop.at_s + tail_s)

    def _step(self, remarks: "Remarks", wait_s: float) -> bool:
        """Recognise all that waits; whether there was anything. Nothing is gained by steps that complete no chunk, and each costs."""
        taken = self._source.queue.take(wait_s, self._recognizer.until_ready)
        if not taken:
            return False
        started_s = time.perf_counter()
        stretches: list[tuple[int, list[np.ndarray]]] = []                   # samples dropped before, blocks without a gap
        for block in taken:
            if block.dropped or not stretches:
                stretches.append((block.dropped, []))
            stretches[-1][1].append(mono(block.samples))
        for dropped, blocks in stretches:
            self._hear(dropped, np.concatenate(blocks))
        heard_s = sum(len(block.samples) for block in taken) / self._source.rate_hz
        remarks.after_step(self._source, self._gauge, time.perf_counter() - started_s, heard_s)
        return True

    def _hear(self, dropped: int, samples: np.ndarray):
        """Recognise (n,) samples before which some were dropped, or, while paused, let them pass."""
        rate_hz = self._source.rate_hz
        self._gauge.lose(dropped / rate_hz)
        self._gauge.hear(samples, rate_hz)
        if self._paused:
            self._unheard += dropped + len(samples)
            return
        if dropped + self._unheard:
            self._skip(dropped + self._unheard)
        if self._outputs.recording:
            self._outputs.recording.add(samples)
        self._show(self._recognizer.feed(samples))

    def _skip(self, num_samples: int, new_rate_hz: float | None = None):
        """Count sound that was not heard, so that times stay right, in the recording too."""
        self._unheard = 0
        if recording := self._outputs.recording:
            recording.add_silence(num_samples)
            if new_rate_hz:
                recording.change_rate(new_rate_hz)
        self._show(self._recognizer.skip(num_samples, new_rate_hz))

    def _show(self, captions: list[Partial | Final]):
        if self._outputs.steady:
            captions = [caption.settled if isinstance(caption, Partial) else caption for caption in captions]
        self._gauge.show(captions, self._source.queue.waiting_s)
        self._outputs.show(captions)

    def _do_requests(self, remarks: "Remarks", away_s: float = 0.0):
        """Those that wait; the device has been away for so long."""
        for request in self._requests.take():
            if request is Request.MARK:
                self._outputs.mark(self._gauge.heard_s + self._source.queue.waiting_s + away_s, self._source.started)
                continue
            self._step(remarks, 0)   # what was said before the key was pressed
            if not self._paused:
                self._show(self._recognizer.flush())
            self._paused = not self._paused
            self._outputs.remark("paused: nothing is shown or kept" if self._paused else "going on")

    def _tell_status(self):
        session = self._outputs.session
        self._outputs.status(Status(self._source.name, self._gauge.level_dbfs, self._gauge.no_signal, self._paused, self._gauge.delay_s,
                                    self._gauge.lost_s, self._source.overflows, session is not None, session and session.path,
                                    self._outputs.recording is not None, self._source.started))


class Remarks:
    """Tells the user of a device, at most every 10 s, that audio was lost and that the machine is too slow, and what is done about it; and
    once that it is muted.
    """

    def __init__(self, outputs: Outputs, pace: Pace):
        self._outputs, self._pace = outputs, pace
        self._told_s = -REMARK_EVERY_S
        self._dropped = self._overflows = 0
        self._told_muted = False

    def after_step(self, source: Source, gauge: Gauge, took_s: float, heard_s: float):
        """To be called after each step: it took `took_s` for `heard_s` of audio."""
        if gauge.muted and not self._told_muted and source.may_return:           # a file may well be silent
            self._outputs.remark(f"no signal from {source.name}: is it muted, or another one meant? asr live --list-devices")
            self._told_muted = True
        if self._pace.work(took_s, heard_s):
            self._outputs.remark(f"this machine has time again: {self._pace.told}")
        now_s, queue = time.monotonic(), source.queue
        if now_s - self._told_s < REMARK_EVERY_S:
            return
        parts = []
        if queue.dropped > self._dropped:
            parts.append(f"{(queue.dropped - self._dropped) / queue.rate_hz:.1f} s of sound dropped")
        if source.overflows > self._overflows:
            parts.append(f"the system lost sound {source.overflows - self._overflows} times")
        if (queue.waiting_s > BEHIND_S and took_s > heard_s) or queue.dropped > self._dropped:
            remedy = self._pace.told if self._pace.slow_down() else "try --decoder greedy"
            parts.append(f"this machine cannot keep up: {1000 * took_s:.0f} ms of work where {1000 * heard_s:.0f} ms are allowed, "
                         f"{queue.waiting_s:.1f} s behind; {remedy}")
        if parts:
            self._outputs.remark("; ".join(parts))
            self._told_s, self._dropped, self._overflows = now_s, queue.dropped, source.overflows
