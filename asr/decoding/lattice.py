"""What the search's merging of states would lose: the other ways to come to the same last words, and the n-best list that they make.

Two histories whose last words are the same are one to the n-gram, and the search keeps the better. Each trace here keeps the others too,
with how much worse they were where they met; from the ends of the search backwards that makes a lattice. As each trace's first way costs
nothing more, taking the best open path first gives whole hypotheses in the order of their scores (A* with an exact estimate; Soong and
Huang, "A tree-trellis based fast search for finding the N best sentence hypotheses", ICASSP 1991).
"""

import heapq
import itertools
from collections.abc import Iterable, Sequence

from asr.decoding.traces import NO_TRACE, Traces

MOST_WORSE = 12.0                    # nats: ways further below the best one are dropped
MOST_WAYS = 8                        # of a trace
PATHS_A_HYPOTHESIS = 60              # open paths looked at for each hypothesis asked for: many differ in times alone

Way = tuple[float, int, int, int, int]                       # score, word, node where it ended, frame of its `|`, previous trace
Words = tuple[tuple[int, int, int], ...]                     # (word, node, frame of its `|`)


class Lattice:
    """The ways to the traces of one search, which it adds to."""

    def __init__(self, traces: Traces):
        self._traces = traces
        self._others: dict[int, list[Way]] = {}              # of a trace: the other ways, by how much worse each is
        self._history = [0]                                  # of each trace: a number that stands for all its words

    def add(self, ways: Iterable[Way]) -> int:
        """A new trace to which these ways lead -> its number."""
        ways = sorted(ways, reverse=True)
        best, *rest = ways
        trace = self._traces.add(best[1:])
        self._history.append(self._after(best))
        if rest:
            seen, others = {self._history[-1]}, []
            for way in rest:
                if way[0] < best[0] - MOST_WORSE or len(others) == MOST_WAYS - 1:
                    break
                history = self._after(way)
                if history not in seen:                      # else the same words at other times
                    seen.add(history)
                    others.append((way[0] - best[0], *way[1:]))
            if others:
                self._others[trace] = others
        return trace

    def merge(self, trace: int, score: float, ways: Sequence[Way]) -> int:
        """The trace of a state that has `trace`, at `score`, and that these ways come to as well: the same one where they bring nothing."""
        if ways[0][0] <= score and all(self._after(way) == self._history[trace] for way in ways):
            return trace                                     # by far the most: the same word ends at one frame after another
        known = {self._after(way): way[0] for way in self._ways(trace, score)}
        if all(way[0] <= known.get(self._after(way), score - MOST_WORSE) for way in ways):
            return trace
        return self.add([*self._ways(trace, score), *ways])

    def n_best(self, endings: Iterable[tuple[float, int, Words]], count: int) -> list[tuple[float, Words]]:
        """The `count` best hypotheses, best first, each once: score and words. An ending is a score, a trace, and words after it."""
        order = itertools.count()                            # among equals the first found
        paths = [(-score, next(order), trace, words) for score, trace, words in endings]
        heapq.heapify(paths)
        found: dict[tuple[int, ...], tuple[float, Words]] = {}
        opened = set()
        for _ in range(PATHS_A_HYPOTHESIS * count):
            if not paths or len(found) == count:
                break
            cost, _, trace, words = heapq.heappop(paths)
            key = tuple(word for word, _, _ in words)
            if trace == NO_TRACE:
                found.setdefault(key, (-cost, words))
            elif (trace, key) not in opened:
                opened.add((trace, key))
                for score, word, node, frame, previous in self._ways(trace, -cost):
                    heapq.heappush(paths, (-score, next(order), previous, ((word, node, frame), *words)))
        return list(found.values())

    def _ways(self, trace: int, score: float) -> list[Way]:
        """All ways to a trace whose best one has `score`."""
        others = ((score + worse, *way) for worse, *way in self._others.get(trace, ()))
        return [(score, *self._traces.links[trace]), *others]

    def _after(self, way: Way) -> int:
        return hash((self._history[way[4]], way[1]))
