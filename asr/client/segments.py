"""Long recordings: the emissions of a file of any length, cut at pauses into stretches that are decoded one by one.

A stretch has at most 30 s and is cut in the middle of the longest silence after its first 10 s, so no word is cut, the language
model sees whole sentences, and memory does not grow with the file.
"""

import numpy as np

from asr.config import FRAME_S, Latency
from asr.decoding.emission import Emission

WHOLE_S = 30.0                       # up to here a recording is one block with full context
LONG = Latency(chunk=400, right=50)  # beyond: blocks of 16 s with 2 s of right context, the forward state carried on
SHORTEST_FRAMES = round(10 / FRAME_S)
LONGEST_FRAMES = round(WHOLE_S / FRAME_S)


class Segmenter:
    """Collects emissions and gives back stretches of them; `start_s` is where what is still collected starts."""

    def __init__(self, word_end: int):
        """`word_end`: id of the phone head's unit that ends a word; with the blank (0) it is what silence looks like."""
        self._word_end = word_end
        self._collected: list[Emission] = []
        self._frames = self._start = 0

    @property
    def start_s(self) -> float:
        """Start of what is collected, in seconds of the recording."""
        return self._start * FRAME_S

    def feed(self, emission: Emission) -> list[tuple[float, Emission]]:
        """The stretches that are complete: (start in seconds, emission)."""
        self._collected.append(emission)
        self._frames += len(emission.phones)
        stretches = []
        while self._frames >= LONGEST_FRAMES:
            whole = Emission.concatenate(self._collected)
            cut = self._cut(whole.phones[:LONGEST_FRAMES])
            stretches.append((self.start_s, whole[:cut]))
            self._collected = [whole[cut:]]
            self._frames -= cut
            self._start += cut
        return stretches

    def flush(self) -> list[tuple[float, Emission]]:
        """What is left, as a stretch, unless nothing is."""
        return [(self.start_s, Emission.concatenate(self._collected))] if self._frames else []

    def _cut(self, phones: np.ndarray) -> int:
        """Frame in the middle of the longest silence of phones (T, P), not within the first 10 s."""
        best = phones[SHORTEST_FRAMES:].argmax(axis=1)                                     # (T - 10 s,)
        silent = np.concatenate([[False], (best == 0) | (best == self._word_end), [False]])
        edges = np.flatnonzero(silent[1:] != silent[:-1])                                  # starts and ends in turn
        starts, ends = edges[::2], edges[1::2]
        if not len(starts):
            return len(phones)
        longest = int(np.argmax(ends - starts))
        return SHORTEST_FRAMES + int(starts[longest] + ends[longest] + 1) // 2
