"""What a soak hears: speech without end, in an order that changes from round to round, with pauses, silence and noise between.

A round holds each utterance once, so that any two quarters of a long soak are alike. Made anew from the same numbers it is the same:
who checks the captions later knows where speech was, without having kept it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr.config import RATE_HZ

PAUSES_S = (0.1, 3.0)                # from within one utterance of the recogniser's to well between two
NOISE_DBFS = -60.0                   # a quiet room
STRETCHES = ((30.0, -np.inf), (30.0, NOISE_DBFS))            # seconds and level of what stands in each round where nobody speaks


@dataclass(frozen=True)
class Part:
    """A piece of the sound: an utterance by its place in the list, or none, for noise of a level (-inf: zeros)."""

    utterance: int | None
    samples: int
    level_dbfs: float = -np.inf


def programme(lengths: Sequence[int], seed: int = 0) -> Iterator[Part]:
    """The parts, without end, for utterances of these lengths in samples."""
    rng = np.random.default_rng(seed)
    while True:
        round_of = [Part(place, lengths[place]) for place in rng.permutation(len(lengths)).tolist()]
        stretches = [Part(None, round(seconds * RATE_HZ), level) for seconds, level in STRETCHES]
        for stretch in stretches:
            round_of.insert(int(rng.integers(len(round_of) + 1)), stretch)
        for part in round_of:
            yield part
            yield Part(None, round(rng.uniform(*PAUSES_S) * RATE_HZ), NOISE_DBFS)


def spoken_s(lengths: Sequence[int], total: int) -> list[tuple[float, float]]:
    """Start and end in seconds of each utterance that is whole within the first `total` samples."""
    spans, start = [], 0
    for part in programme(lengths):
        if start + part.samples > total:
            return spans
        if part.utterance is not None:
            spans.append((start / RATE_HZ, (start + part.samples) / RATE_HZ))
        start += part.samples
    raise AssertionError("a programme has no end")


class Sound:
    """The sound of a programme of utterances, each (n,) float32."""

    def __init__(self, utterances: Sequence[np.ndarray]):
        self._utterances = utterances
        self.lengths = [len(samples) for samples in utterances]

    def blocks(self, total: int, size: int) -> Iterator[np.ndarray]:
        """The first `total` samples in blocks (n,) float32 of at most `size`."""
        rng = np.random.default_rng(1)
        for part in programme(self.lengths):
            samples = noise(rng, part.samples, part.level_dbfs) if part.utterance is None else self._utterances[part.utterance]
            for start in range(0, len(samples), size):
                block = samples[start:min(start + size, len(samples), start + total)]
                if not len(block):
                    return
                yield block
                total -= len(block)


def noise(rng: np.random.Generator, count: int, level_dbfs: float) -> np.ndarray:
    """White noise of a level (root mean square), (count,) float32; zeros for -inf."""
    return (10 ** (level_dbfs / 20) * rng.standard_normal(count, np.float32)).astype(np.float32)
