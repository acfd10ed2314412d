"""The decoder without lexicon or language model: the likeliest word piece of each frame, repeats and blanks dropped (CTC's best path)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.config import FRAME_S
from asr.decoding.alignment import log_odds
from asr.decoding.confidence import confidence
from asr.decoding.emission import Emission
from asr.decoding.hypothesis import Hypothesis, Word
from asr.decoding.options import Calibration
from asr.units import BLANK_ID, WORD_START


@dataclass(slots=True)
class SpelledWord:
    """A word as the pieces head spells it, on its frames; grows while it is the last one."""

    text: str
    first_frame: int
    end_frame: int
    log_probs: list[float]           # of each piece, at its best frame

    @property
    def evidence(self) -> float:
        """Mean log-odds of its pieces."""
        return float(log_odds(np.array(self.log_probs)).mean())

    @property
    def probability(self) -> float:
        """Geometric mean of the probabilities of its pieces."""
        return float(np.exp(np.mean(self.log_probs)))


class Speller:
    """Best path through the pieces, fed step by step; remembers the last piece and all words since `forget`."""

    def __init__(self, pieces: tuple[str, ...]):
        self._pieces = pieces
        self._last = BLANK_ID
        self.frames = 0
        self.score = 0.0             # log-probability of the path
        self.words: list[SpelledWord] = []

    def step(self, pieces: np.ndarray) -> None:
        """Take in (T, V) log-probabilities."""
        ids = pieces.argmax(1)                                                              # (T,)
        best = pieces[np.arange(len(ids)), ids]
        self.score += float(best.sum())
        for t in np.flatnonzero((ids != BLANK_ID) | (np.concatenate(([self._last], ids[:-1])) != BLANK_ID)).tolist():
            self._take(int(ids[t]), float(best[t]), self.frames + t)
        self._last = int(ids[-1]) if len(ids) else self._last
        self.frames += len(ids)

    def _take(self, unit: int, log_prob: float, frame: int) -> None:
        if unit != BLANK_ID:
            if unit == self._last:                           # the same piece goes on
                self.words[-1].log_probs[-1] = max(self.words[-1].log_probs[-1], log_prob)
                self.words[-1].end_frame = frame + 1
            else:
                self._begin(self._pieces[unit], log_prob, frame)
        self._last = unit

    def _begin(self, piece: str, log_prob: float, frame: int) -> None:
        if piece.startswith(WORD_START) or not self.words:
            self.words.append(SpelledWord(piece.removeprefix(WORD_START), frame, frame + 1, [log_prob]))
        else:
            word = self.words[-1]
            word.text += piece
            word.log_probs.append(log_prob)
            word.end_frame = frame + 1

    def forget(self, before_frame: int) -> None:
        """Drop words that ended by `before_frame`; the last word stays, it may still grow."""
        self.words = [word for word in self.words[:-1] if word.end_frame > before_frame] + self.words[-1:]


class GreedyDecoder:
    """Loaded once; every recording gets its own stream."""

    def __init__(self, pieces: tuple[str, ...], calibration: Calibration):
        self.pieces, self.calibration = pieces, calibration

    def start(self, offset_s: float = 0.0) -> "GreedyStream":
        """A stream whose first frame begins at `offset_s`."""
        return GreedyStream(self, offset_s)

    def decode(self, emission: Emission, offset_s: float = 0.0, shown: Sequence[Word] = ()) -> Hypothesis:
        """The result for a whole utterance, whatever was `shown` of it: there is one path."""
        stream = self.start(offset_s)
        stream.step(emission)
        return stream.finish()


class GreedyStream:
    """Step, best at any time, finish: the same interface as the beam's stream."""

    def __init__(self, decoder: GreedyDecoder, offset_s: float):
        self._decoder, self._offset_s = decoder, offset_s
        self._speller = Speller(decoder.pieces)
        self._done: list[Word] = []                          # words that no later frame can change

    def step(self, emission: Emission) -> None:
        """Take in further frames."""
        self._speller.step(emission.pieces)
        for word in self._speller.words[:-1]:
            self._done.append(self._word(word))
        self._speller.words = self._speller.words[-1:]

    def best(self) -> Hypothesis:
        """All words so far, the last one as far as it is spelled."""
        words = [*self._done, *(self._word(word) for word in self._speller.words if word.text)]
        return Hypothesis(tuple(word for word in words if word.text), self._speller.score)

    def finish(self) -> Hypothesis:
        """The result, should no more come. The stream stays as it is."""
        return self.best()

    def _word(self, word: SpelledWord) -> Word:
        start_s, end_s = (self._offset_s + frame * FRAME_S for frame in (word.first_frame, word.end_frame))
        return Word(word.text, start_s, end_s, confidence(word.evidence, self._decoder.calibration))
