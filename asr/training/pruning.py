"""Entropy pruning: n-grams whose loss changes the model's predictions least are left to the back-off.

The measure is Stolcke's ("Entropy-based Pruning of Backoff Language Models", 1998): the relative entropy between the model with and
without an n-gram, all else equal. It needs how often each history occurs, which Kneser-Ney's lower orders do not tell; so that comes
from the sources' counts.
"""

from dataclasses import dataclass

import numpy as np

from asr.training.ngrams import Level, unused_mass

THRESHOLD_ROUNDS = 18


@dataclass(frozen=True)
class Losses:
    """Relative entropy (nats a word) that each n-gram's removal costs, one array for each order from 2 on."""

    levels: list[Level]
    values: list[np.ndarray]


def losses(levels: list[Level], probs: list[np.ndarray], weights: np.ndarray) -> Losses:
    """Losses under the mixture whose sources have `weights` (sources,)."""
    sizes = np.maximum(levels[0].counts.sum(1, dtype=np.float64), 1)
    values = []
    for n in range(1, len(levels)):
        level = levels[n]
        often = (weights / sizes) @ levels[n - 1].counts          # share of all places that follow this history
        free, free_below = unused_mass(levels, probs, n)
        prob, below = probs[n], probs[n - 1][level.suffix]
        free, free_below = free[level.prefix], free_below[level.prefix]
        before, after = np.log(free / free_below), np.log((free + prob) / (free_below + below))
        gain = prob * (np.log(below) + after - np.log(prob)) + free * (after - before)
        values.append(-often[level.prefix] * gain)
    return Losses(levels, values)


def keep(found: Losses, threshold: float) -> list[np.ndarray]:
    """For each order, which rows stay: those that cost more than `threshold`, and the histories and endings of those."""
    levels = found.levels
    stay = [np.ones(len(levels[0]), bool)] + [values > threshold for values in found.values]
    for n in range(len(levels) - 1, 1, -1):
        rows = stay[n]
        stay[n - 1][levels[n].prefix[rows]] = True                # a history must be listed to carry its back-off weight
        stay[n - 1][levels[n].suffix[rows]] = True                # KenLM's trie would insert it otherwise
    return stay


def keep_within(found: Losses, size_limit: int, size_of) -> list[np.ndarray]:
    """The rows to keep so that size_of([rows of order 1, of order 2, ...]) is at most `size_limit`, and not much less."""
    smallest, largest = 1e-13, 1.0
    if size_of([len(level) for level in found.levels]) <= size_limit:
        return keep(found, -np.inf)
    for _ in range(THRESHOLD_ROUNDS):
        threshold = (smallest * largest) ** 0.5
        if size_of([int(rows.sum()) for rows in keep(found, threshold)]) > size_limit:
            smallest = threshold
        else:
            largest = threshold
    return keep(found, largest)


def apply(levels: list[Level], probs: list[np.ndarray], stay: list[np.ndarray]) -> tuple[list[Level], list[np.ndarray]]:
    """Levels and probabilities of the rows that stay."""
    pruned, number = [], None
    for level, rows in zip(levels, stay):
        pruned.append(level.take(rows, number))
        number = (np.cumsum(rows) - 1).astype(np.int32)
    return pruned, [values[rows] for values, rows in zip(probs, stay)]
