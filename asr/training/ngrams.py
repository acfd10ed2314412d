"""N-gram counts and Kneser-Ney models of several sources on one set of n-grams, mixed into one model.

Word ids: UNKNOWN, BOUNDARY (begins a sentence where it is history, ends one where it is predicted), then words. A stream is one
source's text as ids: BOUNDARY before every sentence and after the last. All sources share one table of n-grams, a Level for each
order, whose rows point to the rows of their first and last words in the order below; so everything is whole-array arithmetic:

    levels = count(streams, num_words, order)          # rows and each source's counts
    levels, models = estimate(levels, cutoffs)         # interpolated modified Kneser-Ney for each source
    weights = mixture_weights(levels, models, tuning)  # likeliest weights of the sources on a tuning text
    model = mix(models, weights)                       # one probability for each n-gram
    backoffs(levels, model)                            # what remains for the words after each history
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

UNKNOWN, BOUNDARY = 0, 1
WORD_BITS = 18                       # of a key; the rest is the prefix's row
EM_ROUNDS = 40


@dataclass(frozen=True)
class Level:
    """The n-grams of one order, sorted by prefix, then by last word. Order 1 has a row for every word, its id."""

    prefix: np.ndarray               # (rows,) int32: row of all words but the last in the order below; 0 for order 1
    word: np.ndarray                 # (rows,) int32: last word
    suffix: np.ndarray               # (rows,) int32: row of all words but the first in the order below; 0 for order 1
    counts: np.ndarray               # (sources, rows) uint32

    def __len__(self) -> int:
        return len(self.word)

    def take(self, keep: np.ndarray, below: np.ndarray | None) -> "Level":
        """The rows where `keep` is true; `below` holds the new numbers of the rows of the order below (None: unchanged)."""
        prefix, suffix = self.prefix[keep], self.suffix[keep]
        if below is not None:
            prefix, suffix = below[prefix], below[suffix]
        return Level(prefix, self.word[keep], suffix, self.counts[:, keep])


@dataclass(frozen=True)
class Model:
    """Probabilities on the rows of levels: `probs[n - 1]` (rows of order n,), `left[n - 1]` (rows of order n - 1,): the weight of the
    order below after a history of n - 1 words. With a leading axis for sources, several models at once.
    """

    probs: list[np.ndarray]
    left: list[np.ndarray]


def count(streams: Sequence[np.ndarray], num_words: int, order: int) -> list[Level]:
    """Counts n-grams of 1 to `order` words. None spans a sentence's end or holds UNKNOWN."""
    if num_words >= 1 << WORD_BITS:
        raise ValueError(f"{num_words} words; at most {(1 << WORD_BITS) - 1} fit")
    stream = np.concatenate(streams)
    starts = np.cumsum([0, *map(len, streams)])
    counts = np.stack([np.bincount(part, minlength=num_words) for part in streams]).astype(np.uint32)
    zeros = np.zeros(num_words, np.int32)
    levels = [Level(zeros, np.arange(num_words, dtype=np.int32), zeros, counts)]
    rows = np.where(stream == UNKNOWN, -1, stream).astype(np.int32)
    for n in range(2, order + 1):
        at = _positions(stream, rows, n)
        keys = _keys(rows[at - 1], stream[at])
        by_key = np.argsort(keys)
        keys = keys[by_key]
        is_new = np.ones(len(keys), bool)
        is_new[1:] = keys[1:] != keys[:-1]
        first, prefix = by_key[is_new].astype(np.int32), (keys[is_new] >> np.uint64(WORD_BITS)).astype(np.int32)
        del keys                                             # as large as two texts; what follows needs the room
        row_at = np.empty(len(at), np.int32)
        row_at[by_key] = np.cumsum(is_new, dtype=np.int32) - 1
        del by_key, is_new
        counts = np.empty((len(streams), len(first)), np.uint32)
        for source, (low, high) in enumerate(pairwise(np.searchsorted(at, starts))):
            counts[source] = np.bincount(row_at[low:high], minlength=len(first))
        levels.append(Level(prefix, stream[at[first]], rows[at[first]], counts))
        rows = np.full(len(stream), -1, np.int32)
        rows[at] = row_at
    return levels


def estimate(levels: list[Level], cutoffs: Sequence[int]) -> tuple[list[Level], Model]:
    """Interpolated modified Kneser-Ney models of all sources, and the levels with the rows that are kept.

    A row of order n is kept if it was seen at least cutoffs[n - 1] times in the largest source, or as large a share of the words in
    smaller ones. Dropped rows still count for discounts and totals. Probabilities are (sources, rows) float32.
    """
    num_sources = len(levels[0].counts)
    sizes = np.maximum(levels[0].counts.sum(1, dtype=np.float64), 1)
    keeps, numbers, kept = _kept(levels, cutoffs, sizes), [], []
    for level, keep in zip(levels, keeps):
        kept.append(level.take(keep, numbers[-1] if numbers else None))
        numbers.append((np.cumsum(keep) - 1).astype(np.int32))
    probs = [np.empty((num_sources, len(level)), np.float32) for level in kept]
    left = [np.empty((num_sources, len(level)), np.float32) for level in [kept[0].take(np.arange(1), None), *kept[:-1]]]
    begins = _begin_sentences(levels)
    for source in range(num_sources):
        for n, level in enumerate(levels):
            counts = _adjusted(levels, n, source, begins[n])
            counts -= _discounts(counts)[np.minimum(counts, 3).astype(np.int8)] * (counts > 0)
            size = len(levels[n - 1]) if n else 1
            totals = np.bincount(level.prefix, _adjusted(levels, n, source, begins[n]), size)
            mass = np.bincount(level.prefix[keeps[n]], counts[keeps[n]], size)
            weight = np.where(totals > 0, 1 - mass / np.maximum(totals, 1), 1.0).astype(np.float32)
            share = (1 / np.maximum(totals, 1)).astype(np.float32)
            lower = probs[n - 1][source][kept[n].suffix] if n else np.float32(1 / len(level))
            below = keeps[n - 1] if n else slice(None)
            left[n][source] = weight[below]
            probs[n][source] = counts[keeps[n]] * share[below][kept[n].prefix] + left[n][source][kept[n].prefix] * lower
    return kept, Model(probs, left)


def find_rows(levels: list[Level], stream: np.ndarray) -> list[np.ndarray]:
    """For each order n, the row of the n-gram that ends at each place of `stream`, -1 where there is none."""
    found = [np.where(stream == UNKNOWN, -1, stream).astype(np.int32)]
    for n, level in enumerate(levels[1:], start=2):
        rows = np.full(len(stream), -1, np.int32)
        at = _positions(stream, found[-1], n)
        wanted, keys = _keys(found[-1][at - 1], stream[at]), _keys(level.prefix, level.word)
        place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        rows[at] = np.where(keys[place] == wanted, place, -1) if len(keys) else -1
        found.append(rows)
    return found


def score(levels: list[Level], model: Model, stream: np.ndarray) -> np.ndarray:
    """Probabilities (..., predictions) of every word and sentence end of `stream`; UNKNOWN is left out, as is the first BOUNDARY."""
    found = find_rows(levels, stream)
    probs = model.probs[0][..., np.maximum(stream, 0)].astype(np.float64)
    for n in range(2, len(levels) + 1):
        rows, histories = found[n - 1], np.full(len(stream), -1, np.int32)
        histories[1:] = found[n - 2][:-1]
        if n > 2:
            histories[1:][stream[:-1] == BOUNDARY] = -1          # a sentence's end is nobody's history
        backed_off = np.where(histories >= 0, model.left[n - 1][..., np.maximum(histories, 0)], 1.0) * probs
        probs = np.where(rows >= 0, model.probs[n - 1][..., np.maximum(rows, 0)], backed_off)
    predicted = stream != UNKNOWN
    predicted[0] = False
    return probs[..., predicted]


def perplexity(probs: np.ndarray) -> float:
    """Of the probabilities that `score` gives."""
    return float(np.exp(-np.mean(np.log(probs))))


def mixture_weights(levels: list[Level], models: Model, tuning: Sequence[np.ndarray]) -> np.ndarray:
    """Weights (sources,), summing to 1, that make the tuning streams likeliest, each stream counting alike however long (EM)."""
    scored = [score(levels, models, stream) for stream in tuning]
    weights = np.full(len(scored[0]), 1 / len(scored[0]))
    for _ in range(EM_ROUNDS):
        shares = [(weights[:, None] * probs / (weights @ probs)).mean(1) for probs in scored]
        weights = np.mean(shares, 0)
    return weights


def mix(models: Model, weights: np.ndarray) -> list[np.ndarray]:
    """Mixed probabilities of the n-grams, float64; backed-off ones follow from `backoffs`."""
    return [weights @ probs for probs in models.probs]


def backoffs(levels: list[Level], probs: list[np.ndarray]) -> list[np.ndarray]:
    """For each order n the weights (rows of order n - 1,) that make the words after each history sum to one."""
    left = []
    for n in range(len(levels)):
        free, free_below = unused_mass(levels, probs, n)
        left.append(free / free_below)
    return left


def unused_mass(levels: list[Level], probs: list[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """What the words not listed after each history have in order n + 1 and in the order below; at least 1e-9."""
    level, size = levels[n], len(levels[n - 1]) if n else 1
    lower = probs[n - 1][level.suffix] if n else np.full(len(level), 1 / len(level))
    return (np.maximum(1 - np.bincount(level.prefix, probs[n], size), 1e-9),
            np.maximum(1 - np.bincount(level.prefix, lower, size), 1e-9))


def _keys(prefixes: np.ndarray, words: np.ndarray) -> np.ndarray:
    return prefixes.astype(np.uint64) << np.uint64(WORD_BITS) | words.astype(np.uint64)


def _positions(stream: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    """Places where an n-gram ends, given the rows of order n - 1 that end at each place."""
    whole = np.zeros(len(stream), bool)
    whole[1:] = (rows[:-1] >= 0) & (rows[1:] >= 0)
    if n == 2:                                                    # two boundaries in a row are where two sources meet
        whole[1:] &= (stream[:-1] != BOUNDARY) | (stream[1:] != BOUNDARY)
    else:                                                         # no boundary but at the first and the last word
        whole[n - 2:] &= stream[: len(stream) - (n - 2)] != BOUNDARY
    return np.flatnonzero(whole).astype(np.int32)


def _kept(levels: list[Level], cutoffs: Sequence[int], sizes: np.ndarray) -> list[np.ndarray]:
    keeps = [np.ones(len(levels[0]), bool)]
    for level, cutoff in zip(levels[1:], cutoffs[1:], strict=True):
        seen = np.zeros(len(level), np.float32)
        for counts, size in zip(level.counts, sizes):
            seen += counts * np.float32(sizes.max() / size)
        # The parts of a kept n-gram are seen at least as often as itself; the product guards against rounding.
        keeps.append((seen > cutoff - 0.01) & keeps[-1][level.prefix] & keeps[-1][level.suffix])
    return keeps


def _begin_sentences(levels: list[Level]) -> list[np.ndarray]:
    begins = [levels[0].word == BOUNDARY]
    for level in levels[1:]:
        begins.append(begins[-1][level.prefix])
    return begins


def _adjusted(levels: list[Level], n: int, source: int, begins: np.ndarray) -> np.ndarray:
    """Kneser-Ney's counts: how many words come before; plain counts for the highest order and at a sentence's start."""
    plain = levels[n].counts[source]
    if n + 1 == len(levels):
        return plain.astype(np.float32)
    above = levels[n + 1]
    before = np.bincount(above.suffix[above.counts[source] > 0], minlength=len(plain)).astype(np.float32)
    # The boundary alone is predicted as a sentence's end, which has words before it; longer n-grams that begin with it have none.
    return np.where(begins, plain, before).astype(np.float32) if n else before


def _discounts(counts: np.ndarray) -> np.ndarray:
    """Modified Kneser-Ney discounts for counts of 0, 1, 2 and 3 or more (Chen and Goodman 1998), with a floor for tiny sources."""
    ones, twos, threes, fours = (max(int(np.count_nonzero(counts == n)), 1) for n in (1, 2, 3, 4))
    ratio = ones / (ones + 2 * twos)
    found = [0, 1 - 2 * ratio * twos / ones, 2 - 3 * ratio * threes / twos, 3 - 4 * ratio * fours / threes]
    return np.clip(found, [0, 0.1, 0.1, 0.1], [0, 0.95, 1.9, 2.9]).astype(np.float32)
