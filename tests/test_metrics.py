"""Percentiles and flicker."""

import pytest

from asr.metrics import Flicker, flicker, percentile


@pytest.mark.parametrize(("percent", "expected"), [(0, 1.0), (50, 2.5), (95, 3.85), (100, 4.0)])
def test_percentile_interpolates_between_values(percent, expected):
    """Percentiles of 4, 1, 3, 2 lie between the sorted values."""
    assert percentile(iter([4, 1, 3, 2]), percent) == pytest.approx(expected)


def test_percentile_of_nothing_is_an_error():
    """No values have no percentile."""
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@pytest.mark.parametrize(("shown", "expected"), [
    ([], Flicker(0, 0, 0)),
    (["a cat sat"], Flicker(0, 0, 3)),
    (["a", "a cat", "a cat sat"], Flicker(0, 0, 3)),                   # growing is no change
    (["a hat", "a cat", "a cat sat"], Flicker(1, 0, 3)),
    (["cat sat", "the cat sat"], Flicker(0, 0, 3)),                    # a word put in between
    (["the cat sat", "cat sat"], Flicker(1, 1, 2)),
    (["uh", ""], Flicker(1, 1, 0)),
    (["i scream", "ice cream", "i scream"], Flicker(4, 0, 2)),         # there and back counts twice
    (["to get her", "together"], Flicker(3, 2, 1)),
])
def test_flicker_counts_words_that_changed_after_they_were_shown(shown, expected):
    """Replaced and removed words are changes, added ones are not."""
    assert flicker(shown) == expected


def test_flicker_of_utterances_adds_up():
    """A session's flicker is that of its words, not the mean over its utterances."""
    total = flicker(["a hat", "a cat"]) + flicker(["the dog has gone home"])
    assert total == Flicker(1, 0, 7)
    assert total.per_word == pytest.approx(1 / 7)


def test_flicker_without_final_words_is_not_hidden():
    """Words shown for what turns out to be noise count although no word stays."""
    assert flicker(["uh huh", ""]).per_word == 2
    assert Flicker().per_word == 0
