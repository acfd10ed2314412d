"""The words behind the search's states, as chains of links that share their beginnings.

A trace is a link: (word, node where it ended, frame of its `|`, previous trace), and its number. A trace's number is above that of its
previous one.
"""

from collections.abc import Iterable

from asr.decoding.lexicon_trie import ROOT

NO_TRACE = 0                         # the trace before the first word
Link = tuple[int, int, int, int]


class Traces:
    """Those of one search, which owns and forgets them."""

    def __init__(self):
        self.links: list[Link] = [(-1, ROOT, -1, NO_TRACE)]

    def add(self, link: Link) -> int:
        """A new trace -> its number."""
        self.links.append(link)
        return len(self.links) - 1

    def words_of(self, trace: int) -> list[tuple[int, int, int]]:
        """The words that lead to it, in order, each (word, end node, frame of its `|`)."""
        words = []
        while trace != NO_TRACE:
            words.append(self.links[trace][:3])
            trace = self.links[trace][3]
        return words[::-1]

    def ancestor(self, trace: int, frame: int) -> int:
        """The last one on the way to `trace` whose word ended before `frame`."""
        while trace != NO_TRACE and self.links[trace][2] >= frame:
            trace = self.links[trace][3]
        return trace

    def shared(self, heads: Iterable[int]) -> int:
        """The last trace that all of `heads` come from."""
        heads = set(heads)
        while len(heads) > 1:
            last = max(heads)
            heads.remove(last)
            heads.add(self.links[last][3])
        return heads.pop()

    def forget(self, shared: int, heads: Iterable[int]) -> dict[int, int]:
        """Make `shared` the first trace and drop those that lead to none of `heads` -> new numbers of those that are left, by old ones."""
        needed, queue = set(), set(heads)
        while queue:
            trace = queue.pop()
            if trace > shared and trace not in needed:
                needed.add(trace)
                queue.add(self.links[trace][3])
        kept = sorted(needed)
        renumbered = {shared: NO_TRACE, **{trace: i + 1 for i, trace in enumerate(kept)}}
        self.links = [(*self.links[shared][:3], NO_TRACE), *((*self.links[i][:3], renumbered[self.links[i][3]]) for i in kept)]
        return renumbered
