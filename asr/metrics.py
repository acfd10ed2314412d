"""Figures that need no more than numpy: percentiles of delays, and how restless captions are.

Error rates are in benchmark/scoring.py, because they need jiwer and a text normaliser.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


def percentile(values: Iterable[float], percent: float) -> float:
    """The value that `percent` (0 to 100) of `values` do not exceed, interpolated linearly. Raises ValueError without values."""
    values = np.fromiter(values, np.float64)
    if not values.size:
        raise ValueError("a percentile of no values")
    return float(np.percentile(values, percent))


@dataclass(frozen=True)
class Flicker:
    """What a reader saw change, in words. Figures of several utterances add up.

    `changed` were replaced or removed after they were shown, `withdrawn` were removed without another in their place, `final` are
    those that stayed.
    """

    changed: int = 0
    withdrawn: int = 0
    final: int = 0

    def __add__(self, other: "Flicker") -> "Flicker":
        return Flicker(self.changed + other.changed, self.withdrawn + other.withdrawn, self.final + other.final)

    @property
    def per_word(self) -> float:
        """Changed words per final word; 0 where nothing was shown and nothing said."""
        return self.changed / self.final if self.final else float(self.changed)


def flicker(shown: Sequence[str]) -> Flicker:
    """Flicker of one utterance from the texts shown for it, in order, the final one last.

    A word that is added is no change. Words are compared as they are written: give normalised texts where punctuation or case that
    comes later shall not count.
    """
    texts = [text.split() for text in shown]
    revisions = [_revision(before, after) for before, after in pairwise(texts)]
    return Flicker(sum(changed for changed, _ in revisions), sum(removed for _, removed in revisions), len(texts[-1]) if texts else 0)


def _revision(before: list[str], after: list[str]) -> tuple[int, int]:
    """Words of `before` that the shortest edit to `after` (replace, remove, add) replaces or removes, and removes -> both counts."""
    costs = [[(column, 0, 0) for column in range(len(after) + 1)]]                 # (edits, changed, removed)
    for word in before:
        above = costs[-1]
        edits, changed, removed = above[0]
        row = [(edits + 1, changed + 1, removed + 1)]
        for column, other in enumerate(after):
            match, remove, add = above[column], above[column + 1], row[column]
            differs = word != other
            row.append(min((match[0] + differs, match[1] + differs, match[2]),
                           (remove[0] + 1, remove[1] + 1, remove[2] + 1),
                           (add[0] + 1, add[1], add[2])))
        costs.append(row)
    return costs[-1][-1][1:]
