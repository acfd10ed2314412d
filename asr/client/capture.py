"""The bounded queue between whatever delivers audio (a device's callback, a file's thread) and the worker."""

import time
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

LIMIT_S = 10.0


@dataclass(frozen=True)
class Captured:
    """A block as delivered: (n,) or (n, channels) float32, and how many samples were dropped just before it."""

    samples: np.ndarray
    dropped: int


class CaptureQueue:
    """One producer puts, one consumer takes; at most `limit_s` wait, and what comes on top of that is counted and dropped.

    put() copies and appends, nothing else: SimpleQueue is written in C, and each counter has one writer, so there is no lock
    to wait for in a real-time callback.
    """

    def __init__(self, rate_hz: float, limit_s: float = LIMIT_S):
        self.rate_hz = rate_hz
        self.dropped = 0                                     # samples, since the start
        self.last_put_s = time.monotonic()
        self._limit = int(limit_s * rate_hz)
        self._blocks: SimpleQueue[Captured] = SimpleQueue()
        self._put = self._taken = self._gap = 0              # samples

    @property
    def waiting_s(self) -> float:
        """Seconds of audio in the queue."""
        return (self._put - self._taken) / self.rate_hz

    def put(self, samples: np.ndarray):
        """Copy a block, (n,) or (n, channels) float32, into the queue, or drop it when too much waits."""
        self.last_put_s = time.monotonic()
        if self._put - self._taken + len(samples) > self._limit:
            self.lose(len(samples))
            return
        self._blocks.put(Captured(samples.copy(), self._gap))
        self._put += len(samples)
        self._gap = 0

    def lose(self, num_samples: int):
        """Count samples that the system lost before what is put next."""
        self.dropped += num_samples
        self._gap += num_samples

    def wait(self, timeout_s: float = 2.0):
        """Return when the first sound has come: some devices are open a second before they deliver."""
        ends_s = time.monotonic() + timeout_s
        while not (self._put or self.dropped) and time.monotonic() < ends_s:
            time.sleep(0.01)

    def take(self, timeout_s: float, enough: int = 1) -> list[Captured]:
        """All that waits; while that is less than `enough` samples, also what comes within `timeout_s`."""
        taken, count, ends_s = [], 0, time.monotonic() + timeout_s
        with suppress(Empty):
            while True:
                block = self._blocks.get(timeout=max(0.0, ends_s - time.monotonic())) if count < enough else self._blocks.get_nowait()
                taken.append(block)
                count += len(block.samples)
        self._taken += count
        return taken
