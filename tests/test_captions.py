"""Partials: words are committed once they have stood, and then stay."""

import random

from asr.client.captions import Commitment
from asr.decoding.hypothesis import Word


def words(text: str) -> tuple[Word, ...]:
    """A word a second, each 0.8 s long."""
    return tuple(Word(word, index, index + 0.8, 1.0) for index, word in enumerate(text.split()))


def test_committed_after_three_equal_hypotheses():
    """A word counts as committed with its third appearance in a row, and only together with all words before it."""
    commitment = Commitment(repeats=3)
    committed = [commitment.update(words(text)).committed for text in ("the", "the cat", "the cat", "the cat sat", "the bat sat")]
    assert committed == [0, 0, 1, 2, 2]


def test_a_change_begins_the_count_anew():
    """A word that changed, or whose predecessor did, starts again."""
    commitment = Commitment(repeats=2)
    committed = [commitment.update(words(text)).committed for text in ("a cat", "the cat", "the cat")]
    assert committed == [0, 0, 2]


def test_committed_words_are_never_altered():
    """Whatever hypotheses come later, shorter ones too, the committed words stay as they were and their number does not fall."""
    rng = random.Random(0)
    for _ in range(200):
        commitment, before = Commitment(repeats=2), ()
        for _ in range(12):
            partial = commitment.update(words(" ".join(rng.choices("abc", k=rng.randrange(6)))))
            assert [word.text for word in partial.words[:len(before)]] == list(before)
            assert partial.committed >= len(before)
            before = tuple(word.text for word in partial.words[:partial.committed])


def test_later_words_follow_committed_ones_in_time():
    """When a later hypothesis has other words in the committed stretch, what it says after that is shown, nothing twice."""
    commitment = Commitment(repeats=1)
    assert commitment.update(words("i scream")).committed == 2
    later = (Word("ice", 0.0, 0.6, 1.0), Word("cream", 0.6, 1.2, 1.0), Word("it", 1.2, 1.8, 1.0), Word("melts", 2.0, 2.8, 1.0))
    assert commitment.update(later).text == "i scream melts"
