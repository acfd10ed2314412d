"""What a stream of captions consists of: partials that may change, finals that never do.

A partial's first `committed` words have stood unchanged for a set number of chunks and stay as they are until the final of
their utterance, which replaces the partial as a whole (the full-context pass may know better).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from asr.decoding.hypothesis import Word


@dataclass(frozen=True)
class Partial:
    """The utterance so far. `words[:committed]` are not altered any more before its final."""

    words: tuple[Word, ...]
    committed: int

    @property
    def text(self) -> str:
        """The words, with spaces."""
        return " ".join(word.text for word in self.words)

    @property
    def settled(self) -> "Partial":
        """Its committed words alone."""
        return Partial(self.words[:self.committed], self.committed)


@dataclass(frozen=True)
class Final:
    """An utterance. `reason` names what ended it: an endpoint rule, or "end" of the audio."""

    words: tuple[Word, ...]
    start_s: float
    end_s: float
    reason: str

    @property
    def text(self) -> str:
        """The words, with spaces."""
        return " ".join(word.text for word in self.words)


class Commitment:
    """Which words of an utterance are committed (local agreement), over its successive hypotheses.

    A word is committed when it and all words before it have been the same in `repeats` hypotheses in a row. Later hypotheses
    that disagree with committed words are shown as the committed words and what they say after the last of these, in time.
    """

    def __init__(self, repeats: int = 3):
        self._repeats = repeats
        self._committed: tuple[Word, ...] = ()
        self._shown: tuple[Word, ...] = ()
        self._ages: list[int] = []

    def update(self, words: Sequence[Word]) -> Partial:
        """The partial to show for the hypothesis `words`."""
        kept = self._committed
        if kept:
            boundary_s = kept[-1].end_s
            agrees = [word.text for word in words[:len(kept)]] == [word.text for word in kept]
            rest = words[len(kept):] if agrees else [word for word in words if (word.start_s + word.end_s) / 2 > boundary_s]
            words = (*kept, *rest)
        ages, same = [], True
        for index, word in enumerate(words):
            same = same and index < len(self._shown) and self._shown[index].text == word.text
            ages.append(self._ages[index] + 1 if same else 1)
        self._shown, self._ages = tuple(words), ages
        count = len(kept)
        while count < len(ages) and ages[count] >= self._repeats:
            count += 1
        self._committed = self._shown[:count]
        return Partial(self._shown, count)
