"""The decoder with lexicon and language model: the search's words, put on their frames, with confidences and unknown words.

Whole = step by step, exactly: words are settled at frames that do not depend on how the emission was cut.

Tried on 40 utterances of each development set, mean WER: the mean of two emissions half a frame apart, 37.8 against 36.8 %; the pieces
head's CTC score added to the 50 best hypotheses at the end, 35.3 against 36.3 % (dev-libri alone 26.2 against 25.9): not built, it needs
the model that cuts words into pieces; a prior and a blank penalty for the greedy decoder, worse at every value.
"""

from collections.abc import Sequence

import numpy as np

from asr.config import FRAME_S
from asr.decoding.alignment import AlignedWord, align_word
from asr.decoding.emission import Emission
from asr.decoding.greedy import Speller
from asr.decoding.hypothesis import Hypothesis, Word
from asr.decoding.language_model import LanguageModel
from asr.decoding.lattice import Words
from asr.decoding.lexicon_trie import ROOT, Pronunciations, Trie
from asr.decoding.options import DecodingOptions
from asr.decoding.rescoring import Rescorer
from asr.decoding.search import Search
from asr.decoding.unknown import REACH_FRAMES, Chosen, choose

SETTLE_FRAMES = 25                   # words are settled once a second
LONGEST_FRAMES = 750                 # ... and at the latest after 30 s
KEPT_FRAMES = LONGEST_FRAMES + 250   # phones kept for alignment: 10 s more, for the word that the oldest one may be part of
NEAR_S = 0.4                         # as far apart may two passes put the same word
OPEN_FRAMES = 50                     # a word may still be replaced by the pieces head's until this long after it


class BeamDecoder:
    """Loaded once, never changes; every recording gets its own stream."""

    def __init__(self, pieces: tuple[str, ...], lexicon: Pronunciations, trie: Trie, language: LanguageModel, options: DecodingOptions,
                 rescorer: Rescorer | None = None):
        self.pieces, self.lexicon, self.trie, self.language, self.options = pieces, lexicon, trie, language, options
        self.rescorer = rescorer

    def with_changes(self, **changes) -> "BeamDecoder":
        """The same decoder with other options; shares all that is large. Raises BundleError for an option that there is not."""
        return BeamDecoder(self.pieces, self.lexicon, self.trie, self.language, self.options.with_changes(changes), self.rescorer)

    def start(self, offset_s: float = 0.0) -> "BeamStream":
        """A stream whose first frame begins at `offset_s`."""
        return BeamStream(self, offset_s)

    def decode(self, emission: Emission, offset_s: float = 0.0, shown: Sequence[Word] = ()) -> Hypothesis:
        """The result for a whole utterance, by the best means: its n-best list is rescored where the bundle has a word model, and words
        that are likelier noise are left out. `shown` are words that a reader has seen of it: of two likely results, the one that has them.
        """
        stream = BeamStream(self, offset_s, whole=bool(self.rescorer and self.options.rescoring.hypotheses), shown=shown)
        stream.step(emission)
        return stream.finish().believed(self.options.least_confidence)


class BeamStream:
    """One recording (or utterance): `step` takes emissions, `best` tells the words so far, `finish` ends it.

    whole: nothing is settled before the end, where the best of many hypotheses is chosen, with a regard to words that were `shown`; memory
    grows with what is taken in.
    """

    def __init__(self, decoder: BeamDecoder, offset_s: float, whole: bool = False, shown: Sequence[Word] = ()):
        self._decoder, self._offset_s, self._whole, self._shown = decoder, offset_s, whole, shown
        self._search = Search(decoder.trie, decoder.language, decoder.options, with_ways=whole)
        self._speller = Speller(decoder.pieces)
        self._phones = np.empty((0, 0), np.float32)          # the last frames, for alignment
        self._done: list[Word] = []                          # words that nothing can change any more
        self._settled: list[AlignedWord] = []                # words that the search is sure of, after those
        self._last_end = -1                                  # frame of the `|` of the last settled word
        self._aligned: dict[tuple[int, int, int, int], AlignedWord] = {}        # unsettled words, so that each is aligned once

    def step(self, emission: Emission) -> None:
        """Take in further frames."""
        if self._whole:
            self._search.step(emission.phones)
            self._speller.step(emission.pieces)
            self._phones = np.concatenate((self._phones, emission.phones)) if self._phones.size else emission.phones
            return
        start = 0
        while start < len(emission):
            stop = start + min(len(emission) - start, SETTLE_FRAMES - self._search.frames % SETTLE_FRAMES)
            part = emission[start:stop]
            self._search.step(part.phones)
            self._speller.step(part.pieces)
            self._phones = np.concatenate((self._phones, part.phones))[-KEPT_FRAMES:] if self._phones.size else part.phones
            if self._search.frames % SETTLE_FRAMES == 0:
                self._settle()
            start = stop

    def best(self) -> Hypothesis:
        """Words finished so far that the search is sure enough of. Cheap: only words that were not there at the last call cost anything."""
        options = self._decoder.options
        words, score = self._search.best(options.partial_share)
        return self._hypothesis(words, score, ended=False).believed(options.least_confidence)

    def finish(self) -> Hypothesis:
        """The result, should no more come. The stream stays as it is."""
        words, score = self._best_of_many() or self._search.finish()
        return self._hypothesis(words, score, ended=True)

    def _best_of_many(self) -> tuple[Words, float] | None:
        """The best hypothesis by the word model, and its score; None where there is no choice."""
        decoder, options = self._decoder, self._decoder.options.rescoring
        hypotheses = self._search.n_best(options.hypotheses) if self._whole else []
        if not hypotheses:
            return None
        scores = decoder.rescorer.choose(hypotheses, decoder.language, decoder.options)
        if options.shown and self._shown:
            scores = scores + options.shown * np.array([self._kept(words) for _, words in hypotheses])
        best = int(scores.argmax())
        return hypotheses[best][1], float(scores[best])

    def _kept(self, words: Words) -> int:
        """How many of the words that were shown a hypothesis has, near enough in time."""
        texts = self._decoder.lexicon.words
        ends: dict[str, list[float]] = {}
        for word, _, end in words:
            ends.setdefault(texts[word].decode(), []).append(self._offset_s + end * FRAME_S)
        return sum(any(abs(end_s - word.end_s) <= NEAR_S for end_s in ends.get(word.text, ())) for word in self._shown)

    def _hypothesis(self, words: Sequence[tuple[int, int, int]], score: float, ended: bool) -> Hypothesis:
        aligned, self._aligned = self._align(words, self._aligned), {}
        self._aligned = aligned
        chosen = self._choose([*self._settled, *aligned.values()], ended)
        return Hypothesis((*self._done, *(self._word(word) for word in chosen)), score)

    def _align(self, words: Sequence[tuple[int, int, int]], known: dict[tuple[int, int, int, int], AlignedWord]) -> dict:
        """Align words after the last settled one -> by word, node, frame of the end before and of its own; `known` ones are taken over."""
        aligned, before = {}, self._last_end
        for word, node, end in words:
            key = (word, node, before, end)
            aligned[key] = known[key] if key in known else self._align_one(word, node, before + 1, end)
            before = end
        return aligned

    def _align_one(self, word: int, node: int, start: int, end: int) -> AlignedWord:
        oldest = self._search.frames - len(self._phones)
        start = max(start, oldest)
        trie = self._decoder.trie
        text = self._decoder.lexicon.words[word].decode()
        return align_word(text, trie.path(node), self._phones[start - oldest : end - oldest], start, int(trie.phone[ROOT]))

    def _choose(self, words: list[AlignedWord], ended: bool) -> list[Chosen]:
        spelled = self._speller.words
        if not ended and spelled and spelled[-1].end_frame > self._search.frames - REACH_FRAMES:
            spelled = spelled[:-1]                           # may still grow
        return choose(words, spelled, self._decoder.lexicon, self._decoder.options)

    def _settle(self) -> None:
        words = self._search.settle(LONGEST_FRAMES)
        self._settled += self._align(words, self._aligned).values()
        if words:
            self._last_end = words[-1][2]
        count = 0
        for word in self._choose(self._settled, ended=False):
            if word.end_frame > self._search.frames - OPEN_FRAMES:
                break
            self._done.append(self._word(word))
            count += word.replaces
        self._settled = self._settled[count:]
        if count:
            self._speller.forget(round((self._done[-1].end_s - self._offset_s) / FRAME_S) - REACH_FRAMES)

    def _word(self, word: Chosen) -> Word:
        return Word(word.text, self._offset_s + word.first_frame * FRAME_S, self._offset_s + word.end_frame * FRAME_S, word.confidence)
