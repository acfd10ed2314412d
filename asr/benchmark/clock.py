"""A simulated clock: sound arrives as a microphone brings it, and each step lasts as long as it really took to compute."""

from collections.abc import Callable, Iterator

import numpy as np

from asr.config import RATE_HZ

BLOCK_S = 0.02


def heard_live(samples: np.ndarray, take: Callable[[np.ndarray], float]) -> Iterator[tuple[int, float]]:
    """Samples (n,) arrive BLOCK_S at a time, and `take(part) -> seconds that it took` is always given all that wait -> after each step
    how many samples were taken in all, and when it is by the clock, in seconds.
    """
    block = round(BLOCK_S * RATE_HZ)
    taken, now_s = 0, 0.0
    while taken < len(samples):
        now_s = max(now_s, min(taken + block, len(samples)) / RATE_HZ)                 # idle until the next block is whole
        heard = now_s * RATE_HZ + 1e-6
        arrived = len(samples) if heard >= len(samples) else int(heard) // block * block
        now_s += take(samples[taken:arrived])
        taken = arrived
        yield taken, now_s
