"""Which sentences are worth speaking: those with words, word pairs and sounds that the recordings lack, what the text uses most first.

Each word, pair of words and triple of phones (over word borders too) of the candidates is worth the square root of how often they have
it, half as much for every time that it was recorded or chosen before; each of the three kinds is worth as much as the others in all. The
sentence that is worth most for its length comes next. That is the greedy choice for a submodular worth (Nemhauser et al., 1978), found
lazily: a sentence's worth only falls, so one that is still the best after it was counted anew is the best of all (Minoux, 1978).
"""

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from asr.errors import DataError
from asr.text import normalise
from asr.training.manifests import read_lines

MOST_WORDS = 25                      # of a sentence: engines read longer ones badly
LONGEST_WORD = 30                    # letters
SPARE_WORDS = 4                      # a sentence costs as much as so many words more: else single words would win
SPEAKABLE = re.compile(r"[^\W\d_](?:[^\W\d_]|[ '’‘“”\",;:.!?()–—-])*")        # letters and punctuation: engines read digits as they like


def read_candidates(path: Path, most: int, seed: int) -> list[str]:
    """Up to `most` speakable lines of a text, each once, drawn at random where it has more, in its order.

    Raises DataError for a text that cannot be read or has none.
    """
    rng, kept, seen, count = np.random.default_rng(seed), [], set(), 0
    for number, line in enumerate(read_lines(path)):
        text = " ".join(line.split())
        key = hash(text)
        if not is_speakable(text) or key in seen:
            continue
        seen.add(key)
        if len(kept) < most:
            kept.append((number, text))
        elif (place := int(rng.integers(count + 1))) < most:             # every line stays with the same chance (reservoir sampling)
            kept[place] = (number, text)
        count += 1
    if not kept:
        raise DataError(f"{path}: nothing speakable in it; give a sentence a line, of 1 to {MOST_WORDS} words, numbers spelt out")
    return [text for _, text in sorted(kept)]


def is_speakable(text: str) -> bool:
    """Whether every engine reads it as its words are: letters and punctuation alone, not too long."""
    words = text.split()
    return 0 < len(words) <= MOST_WORDS and max(map(len, words)) <= LONGEST_WORD and bool(SPEAKABLE.fullmatch(text)) \
        and bool(normalise(text))


def most_needed(sentences: Sequence[str], recorded: Iterable[str], phones_of: Callable[[str], Sequence[str]]) -> Iterator[str]:
    """All sentences, the most needed first, given the texts of what is recorded; `phones_of` pronounces a normal word."""
    features = _Features(phones_of)
    parts = [features.of(normalise(text).split()) for text in sentences]
    had = [features.of(normalise(text).split()) for text in recorded]
    found, worth = [], []                                                # of each kind: ids of each sentence, the worth of each id
    offset = 0
    for kind in range(len(_Features.KINDS)):
        ids, values = _worth([part[kind] for part in parts], np.concatenate([np.zeros(0, np.int64), *(part[kind] for part in had)]))
        found.append([one + offset for one in ids])
        worth.append(values)
        offset += len(values)
    values = np.concatenate(worth)
    held = [np.unique(np.concatenate(columns)) for columns in zip(*found, strict=True)]
    costs = [len(text.split()) + SPARE_WORDS for text in sentences]
    heap = [(-values[ids].sum() / cost, place) for place, (ids, cost) in enumerate(zip(held, costs, strict=True))]
    heapq.heapify(heap)
    while heap:
        _, place = heapq.heappop(heap)
        now = -values[held[place]].sum() / costs[place]
        if heap and now > heap[0][0]:
            heapq.heappush(heap, (now, place))
            continue
        values[held[place]] /= 2
        yield sentences[place]


class _Features:
    """Numbers for words, pairs of words and triples of phones."""

    KINDS = ("words", "pairs", "sounds")

    def __init__(self, phones_of: Callable[[str], Sequence[str]]):
        self._phones_of = phones_of
        self._words: dict[str, int] = {}
        self._phones: dict[str, int] = {}
        self._said: list[list[int]] = []

    def of(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Words, pairs and triples of a sentence, int64 each."""
        ids = np.array([self._number(word) for word in words], np.int64)
        phones = np.array([phone for place in ids.tolist() for phone in self._said[place]], np.int64)
        return ids, ids[:-1] << 32 | ids[1:], phones[:-2] << 32 | phones[1:-1] << 16 | phones[2:]

    def _number(self, word: str) -> int:
        if word not in self._words:
            self._words[word] = len(self._words)
            self._said.append([self._phones.setdefault(phone, len(self._phones)) for phone in self._phones_of(word)])
        return self._words[word]


def _worth(parts: list[np.ndarray], had: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """What each sentence has of a kind, numbered from 0, and what each number is worth; they are worth one in all at first."""
    known, ids, counts = np.unique(np.concatenate(parts), return_inverse=True, return_counts=True)
    times = np.zeros(len(known))
    place = np.searchsorted(known, had)
    inside = place < len(known)
    same = np.flatnonzero(inside)[known[place[inside]] == had[inside]]
    np.add.at(times, place[same], 1)
    values = np.sqrt(counts)
    values /= max(values.sum(), 1e-12)
    return np.split(ids, np.cumsum([len(part) for part in parts])[:-1]), values * 0.5 ** times
