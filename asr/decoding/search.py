"""The beam search itself: CTC prefix search over the lexicon's phones with an n-gram, one frame at a time, all states at once in numpy.

A state is a place in the lexicon (a trie node) after a language model context. It carries two scores, of the alignments that end in the
blank and of those that end in its phone (Graves 2006; Hannun 2014), so one state stands for what other beams keep as several. Every word
ends in the unit `|`; the root's phone is `|`, whose repeats the root absorbs. The language model's score of the likeliest word below a
node is taken in on the way (look-ahead) and replaced by the word's own at its end.

A state's words are a trace (traces.py). Traces that all states share are final; `settle` hands them out, and forgets what no state needs,
so memory stays bounded over hours. Where the whole utterance is at hand, `with_ways` keeps what the merging of states would lose, for
`n_best` (lattice.py).
"""

import math
from collections import defaultdict

import numpy as np

from asr.decoding.language_model import LanguageModel
from asr.decoding.lattice import Lattice, Way, Words
from asr.decoding.lexicon_trie import ROOT, Trie
from asr.decoding.options import DecodingOptions
from asr.decoding.traces import Traces
from asr.units import BLANK_ID

MOST_GAIN = 1.0                      # log10 by which a context may raise a word's score above its unigram's, for it to be looked up at all
OPEN_WORD_SCORE = -3.0               # at the end a word may lack its `|`, at this price in nats
_CONTEXTS_KEPT = 4000                # settle forgets language model contexts beyond these (about 2 MB)


class Search:
    """One utterance's search. `frames` is how many it has taken in. One `with_ways` cannot `settle`."""

    def __init__(self, trie: Trie, language: LanguageModel, options: DecodingOptions, with_ways: bool = False):
        self.trie, self.options = trie, options
        self.frames = 0
        self._contexts = language.contexts()
        self._fold, self._fold_two = (np.logaddexp, _log_add) if options.log_add else (np.maximum, max)
        self._log_blank_threshold = math.log(options.blank_threshold) if options.blank_threshold < 1 else 0.0
        self._look_ahead = trie.best_score
        self._base = 0.0                                     # subtracted from all scores so far, so that they stay small
        self._traces = Traces()
        self._lattice = Lattice(self._traces) if with_ways else None
        # the beam, ordered by key = context * N + node; all (B,)
        self._context = np.zeros(1, np.int64)
        self._node = np.zeros(1, np.int64)
        self._blank = np.zeros(1)                            # score of the alignments that end in a blank
        self._phone = np.full(1, -np.inf)                    # ... and of those that end in the node's phone
        self._trace = np.zeros(1, np.int64)

    def step(self, phones: np.ndarray) -> None:
        """Take in (T, P) log-probabilities."""
        options = self.options
        scores = phones.astype(np.float64)                       # (T, P)
        only_blank = scores[:, BLANK_ID] > self._log_blank_threshold        # nothing else can happen there
        if options.phone_prior:
            scores -= options.prior_weight * np.array(options.phone_prior)
        scores[:, BLANK_ID] -= options.blank_penalty
        for frame, skipped in zip(scores, only_blank.tolist(), strict=True):
            if skipped:
                self._blank = self._fold(self._blank, self._phone) + frame[BLANK_ID]
                self._phone = np.full(len(self._node), -np.inf)
            else:
                self._advance(frame)
            self.frames += 1

    def _advance(self, frame: np.ndarray) -> None:
        """One frame (P,) float64."""
        trie, options = self.trie, self.options
        node, total = self._node, self._fold(self._blank, self._phone)
        blank = total + frame[BLANK_ID]
        phone = np.where(node == ROOT, total, self._phone) + frame[trie.phone[node]]
        trace = self._trace
        best = self._fold(blank, phone).max()
        row, child, arrived = self._enter_children(frame, total, best - options.beam_threshold)
        best = max(best, arrived.max(initial=-np.inf))
        worth = arrived > best - options.beam_threshold
        row, child, arrived = row[worth], child[worth], arrived[worth]
        context, arrived_trace = self._context[row], trace[row]
        ended = self._end_words(frame, total, best - options.end_threshold)
        if ended:
            context = np.concatenate((context, np.array(list(ended), np.int64)))
            child = np.concatenate((child, np.zeros(len(ended), np.int64)))
            arrived = np.concatenate((arrived, [way[0] for way in ended.values()]))
            arrived_trace = np.concatenate((arrived_trace, -1 - np.arange(len(ended))))      # made for those that survive

        # arrivals where the beam has a state already
        keys = self._context * len(trie.parent) + node
        new_keys = context * len(trie.parent) + child
        place = np.minimum(np.searchsorted(keys, new_keys), len(keys) - 1)
        met = keys[place] == new_keys
        if met.any():
            there, score = place[met], arrived[met]
            before = np.maximum(phone[there], blank[there])
            trace = trace.copy()
            if self._lattice and ended:
                self._merge_ends(ended, trace, there, before, arrived_trace[met])
            better = score > before
            if self._lattice:
                better &= arrived_trace[met] >= 0            # the others have been merged
            trace[there[better]] = arrived_trace[met][better]
            phone[there] = self._fold(phone[there], score)
            fresh = ~met
            context, child, arrived, arrived_trace = context[fresh], child[fresh], arrived[fresh], arrived_trace[fresh]
            new_keys = new_keys[fresh]

        keys = np.concatenate((keys, new_keys))
        phone = np.concatenate((phone, arrived))
        blank = np.concatenate((blank, np.full(len(arrived), -np.inf)))
        kept = self._best_states(self._fold(phone, blank))
        kept = kept[np.argsort(keys[kept])]
        self._context = np.concatenate((self._context, context))[kept]
        self._node = np.concatenate((node, child))[kept]
        self._phone, self._blank = phone[kept], blank[kept]
        self._trace = np.concatenate((trace, arrived_trace))[kept]
        if ended:
            self._make_traces(ended)

    def _enter_children(self, frame: np.ndarray, total: np.ndarray, bound: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The steps down the trie that score above `bound`: the beam row each starts from, the node it comes to, its score -> (C,)."""
        trie = self.trie
        able = np.flatnonzero(total > bound - frame.max())
        node = self._node[able]
        count = trie.num_children[node]
        row = np.repeat(able, count)
        child = np.arange(len(row)) + np.repeat(trie.first_child[node] - np.cumsum(count) + count, count)
        phone = trie.phone[child]
        arrived = total[row] + frame[phone] + self.options.lm_weight * trie.best_step[child]
        worth = np.flatnonzero(arrived > bound)
        row, child, arrived = row[worth], child[worth], arrived[worth]
        again = np.flatnonzero(phone[worth] == trie.phone[self._node[row]])
        arrived[again] += (self._blank - total)[row[again]]  # a repeat needs a blank between
        return row, child, arrived

    def _end_words(self, frame: np.ndarray, total: np.ndarray, bound: float) -> dict[int, Way]:
        """Every word that can end at this frame: the best way to each next context, with the score of all."""
        trie, options, contexts = self.trie, self.options, self._contexts
        score = total + (frame[trie.phone[ROOT]] + options.word_score - options.lm_weight * self._look_ahead[self._node])
        count = np.where(score > bound, trie.num_words[self._node], 0)                       # no log-probability is above 0
        row = np.repeat(np.arange(len(count)), count)
        place = np.arange(len(row)) + (trie.first_word[self._node] - np.cumsum(count) + count)[row]
        hopeful = score[row] + options.lm_weight * (trie.word_score[place] + MOST_GAIN) > bound
        row, place = row[hopeful], place[hopeful]
        with_word = score[row] + options.lm_weight * contexts.scores(self._context[row], trie.word_ids[place])
        likely = np.flatnonzero(with_word > bound)
        row, words = row[likely], trie.word_ids[place[likely]]
        columns = with_word[likely], self._context[row], words, self._node[row], self._trace[row]
        ended: dict[int, Way] = {}
        self._rivals = defaultdict(list)                     # the other ways, kept for the lattice alone
        for score, context, word, node, trace in zip(*(column.tolist() for column in columns), strict=True):
            way, after = (score, word, node, self.frames, trace), contexts.after(context, word)
            known = ended.get(after)
            if known is None:
                ended[after] = way
                continue
            best, other = (known, way) if known[0] >= score else (way, known)
            ended[after] = (self._fold_two(best[0], other[0]), *best[1:])
            if self._lattice:
                self._rivals[after].append(other)
        return ended

    def _best_states(self, total: np.ndarray) -> np.ndarray:
        """Which states stay: within the threshold of the best, and the beam's size of them."""
        kept = np.flatnonzero(total > total.max() - self.options.beam_threshold)
        if len(kept) > self.options.beam_size:
            kept = kept[np.argpartition(-total[kept], self.options.beam_size)[: self.options.beam_size]]
        return kept

    def _make_traces(self, ended: dict[int, Way]) -> None:
        """Give the surviving new words their traces."""
        ended = list(ended.items())
        for i in np.flatnonzero(self._trace < 0).tolist():
            context, way = ended[-1 - int(self._trace[i])]
            self._trace[i] = self._lattice.add((way, *self._rivals.get(context, ()))) if self._lattice else self._traces.add(way[1:])

    def _merge_ends(self, ended: dict[int, Way], trace: np.ndarray, there: np.ndarray, score: np.ndarray, arrived: np.ndarray) -> None:
        """Words end where states `there` are already, at `score`: put the traces of both into `trace`, by beam row.

        arrived: the trace that arrives at each, negative for a word that has just ended.
        """
        ended = list(ended.items())
        for place in np.flatnonzero(arrived < 0).tolist():
            row, (context, way) = int(there[place]), ended[-1 - int(arrived[place])]
            trace[row] = self._lattice.merge(int(trace[row]), float(score[place]), (way, *self._rivals.get(context, ())))

    def best(self, least_share: float = 0.0) -> tuple[list[tuple[int, int, int]], float]:
        """Finished words of the best state that are not settled yet, each (word, end node, frame of its `|`), and its score.

        Only those that at least `least_share` of the beam's probability agrees on, with all words before them.
        """
        total = self._fold(self._blank, self._phone)
        best = int(total.argmax())
        words = self._traces.words_of(int(self._trace[best]))
        if least_share > 0:
            words = words[:int((self._shares(words, total) >= least_share).sum())]
        return words, float(total[best]) + self._base

    def _shares(self, words: list[tuple[int, int, int]], total: np.ndarray) -> np.ndarray:
        """For each of `words` the part of the beam's probability whose words begin with it and those before it; falls."""
        weights = np.exp(total - total.max())
        by_trace: dict[int, float] = {}
        for trace, weight in zip(self._trace.tolist(), (weights / weights.sum()).tolist(), strict=True):
            by_trace[trace] = by_trace.get(trace, 0.0) + weight
        agreeing = np.zeros(len(words) + 1)                  # by number of words in common
        for trace, weight in by_trace.items():
            common = 0
            for mine, other in zip(words, self._traces.words_of(trace), strict=False):
                if mine[0] != other[0]:
                    break
                common += 1
            agreeing[common] += weight
        return agreeing[::-1].cumsum()[::-1][1:]             # (words,)

    def finish(self) -> tuple[list[tuple[int, int, int]], float]:
        """The same, should no more come: words may lack their last `|`, and the language model scores the end."""
        ways = [way for i in range(len(self._node)) for way in self._endings(i)]
        if not ways:                                         # all states are within words: drop those
            return self.best()
        score, trace, last = max(ways, key=lambda way: way[0])
        return [*self._traces.words_of(trace), *last], score + self._base

    def n_best(self, count: int) -> list[tuple[float, Words]]:
        """As `finish`, the `count` best hypotheses, best first: score, and words as there. None where all states are within words."""
        endings = ((score + self._base, trace, tuple(last)) for i in range(len(self._node)) for score, trace, last in self._endings(i))
        return self._lattice.n_best(endings, count)

    def _endings(self, i: int) -> list[tuple[float, int, list[tuple[int, int, int]]]]:
        """The ways in which state `i` can end the utterance: score, trace, and the word that ends with it."""
        options = self.options
        node, context, trace = int(self._node[i]), int(self._context[i]), int(self._trace[i])
        total = float(self._fold(self._blank[i], self._phone[i]))
        if node == ROOT:
            return [(total + options.lm_weight * self._contexts.end_score(context), trace, [])]
        total += OPEN_WORD_SCORE + options.word_score - options.lm_weight * float(self._look_ahead[node])
        ways = []
        for word in self._words_at(node):
            language = self._contexts.score(context, word) + self._contexts.end_score(self._contexts.after(context, word))
            score = total + options.lm_weight * language
            ways.append((score, trace, [(word, node, self.frames)]))
        return ways

    def _words_at(self, node: int) -> list[int]:
        first = self.trie.first_word[node]
        return self.trie.word_ids[first : first + self.trie.num_words[node]].tolist()

    def settle(self, longest_frames: int) -> list[tuple[int, int, int]]:
        """Words that all states agree on, which then are no longer in `best`, each (word, end node, frame of its `|`).

        States that still disagree on words `longest_frames` back are dropped unless they agree with the best one, so the wait is bounded.
        """
        traces, frame = self._traces, self.frames - longest_frames
        shared = traces.shared(self._trace.tolist())
        best = int(self._fold(self._blank, self._phone).argmax())
        old = traces.ancestor(int(self._trace[best]), frame)
        if old > shared:
            keep = np.array([traces.ancestor(trace, frame) == old for trace in self._trace.tolist()])
            self._context, self._node, self._trace = self._context[keep], self._node[keep], self._trace[keep]
            self._blank, self._phone = self._blank[keep], self._phone[keep]
            shared = traces.shared(self._trace.tolist())
        words = traces.words_of(shared)
        self._forget(shared)
        return words

    def _forget(self, shared: int) -> None:
        """Forget the traces before `shared`, unused contexts, and the common part of all scores."""
        heads = self._trace.tolist()
        renumbered = self._traces.forget(shared, heads)
        self._trace = np.array([renumbered[trace] for trace in heads], np.int64)
        if len(self._contexts) > _CONTEXTS_KEPT:
            used = np.unique(self._context)
            self._context = self._contexts.keep_only(used)[self._context]                    # keeps the beam's order by key
        top = float(self._fold(self._blank, self._phone).max())
        self._blank, self._phone, self._base = self._blank - top, self._phone - top, self._base + top


def _log_add(high: float, low: float) -> float:
    """log(exp(high) + exp(low)), high >= low; for two numbers far quicker than numpy's."""
    return high + math.log1p(math.exp(low - high))
