"""How often captions are renewed: less often where the machine falls behind, and as often as asked again once it has time.

Longer chunks cost less work for the same sound, and hear a little better; their words come later.
"""

from typing import Protocol

from asr.config import LATENCIES

WATCHED_S = 60.0                     # of sound, over which the work is looked at before chunks become shorter again
EASY = 0.3                           # of a core: with that much work, shorter chunks will do


class Recognizer(Protocol):
    """What works in chunks whose length can be changed."""

    chunk_ms: int


class Pace:
    """Changes a recognizer's chunks, never to shorter ones than it began with."""

    def __init__(self, recognizer: Recognizer):
        self._recognizer, self._asked_ms = recognizer, recognizer.chunk_ms
        self._work_s = self._heard_s = 0.0

    def slow_down(self) -> bool:
        """Longer chunks from now on; False where they are the longest already."""
        longer = [ms for ms in sorted(LATENCIES) if ms > self._recognizer.chunk_ms]
        return self._change(longer[:1])

    def work(self, took_s: float, heard_s: float) -> bool:
        """A step took so long for so much sound; whether chunks became shorter again."""
        if self._recognizer.chunk_ms == self._asked_ms:
            return False
        self._work_s, self._heard_s = self._work_s + took_s, self._heard_s + heard_s
        if self._heard_s < WATCHED_S:
            return False
        easy, self._work_s, self._heard_s = self._work_s <= EASY * self._heard_s, 0.0, 0.0
        return easy and self._change([ms for ms in sorted(LATENCIES) if ms < self._recognizer.chunk_ms][-1:])

    @property
    def told(self) -> str:
        """For the user."""
        return f"captions come every {self._recognizer.chunk_ms / 1000:g} s now"

    def _change(self, lengths: list[int]) -> bool:
        self._work_s = self._heard_s = 0.0
        for chunk_ms in lengths:
            self._recognizer.chunk_ms = chunk_ms
        return bool(lengths)
