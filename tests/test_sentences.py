"""Which sentences are spoken first, and which lines can be."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import DataError
from asr.training.sentences import SPARE_WORDS, is_speakable, most_needed, read_candidates


def letters_of(word: str) -> list[str]:
    """Letters in place of phones."""
    return list(word)


def test_what_is_recorded_comes_last():
    """A sentence whose words, pairs and sounds are recorded is needed less than one with others."""
    sentences = ["the cat sat here", "dogs bark loud now"]
    assert next(most_needed(sentences, ["the cat sat here"] * 3, letters_of)) == "dogs bark loud now"
    assert next(most_needed(sentences, ["dogs bark loud now"] * 3, letters_of)) == "the cat sat here"


def test_what_was_chosen_is_needed_less():
    """Two sentences that are nearly the same do not come one after the other while something else is to be said."""
    order = list(most_needed(["we met the old man", "we met the old men", "quick zebras jump far"], [], letters_of))
    assert order[1] == "quick zebras jump far"


WORDS = st.sampled_from(["ab", "abc", "cd", "dab", "bad", "cab"])
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=8, unique=True)


@given(SENTENCES, SENTENCES)
def test_each_sentence_once_and_the_best_first(sentences, recorded):
    """The order holds every sentence, and its first is the one that is worth most for its length when each is counted anew."""
    order = list(most_needed(sentences, recorded, letters_of))
    assert sorted(order) == sorted(sentences)

    def parts(text):
        words = text.split()
        letters = "".join(words)
        return [words, list(pairwise(words)), list(zip(letters, letters[1:], letters[2:]))]

    worth = dict.fromkeys(sentences, 0.0)
    for kind in range(3):
        here, had = ([one for text in texts for one in parts(text)[kind]] for texts in (sentences, recorded))
        total = sum(np.sqrt(here.count(one)) for one in set(here))
        for text in sentences:
            worth[text] += sum(np.sqrt(here.count(one)) / total * 0.5 ** had.count(one) for one in set(parts(text)[kind]))
    by_length = {text: value / (len(text.split()) + SPARE_WORDS) for text, value in worth.items()}
    assert by_length[order[0]] == pytest.approx(max(by_length.values()))


@pytest.mark.parametrize(("text", "speakable"), [
    ("She said, “Don’t!”", True), ("Café au lait", True), ("Kubernetes", True), ("In 1984 it rained.", False), ("", False),
    ("— and", False), ("a/b", False), ("word " * 26, False), ("x" * 31, False), ("привет", False),
])
def test_speakable(text, speakable):
    """Letters and punctuation, up to 25 words, that the normal form of text knows."""
    assert is_speakable(" ".join(text.split())) is speakable


def test_lines_are_drawn_from_the_whole_text(tmp_path):
    """Of a long text some lines are drawn, from all of it, each once and in its order; the same seed draws the same."""
    path = tmp_path / "text.txt"
    names = [f"{a}{b}{c}" for a in "bcdf" for b in "aeiou" for c in "lmnprst"]
    path.write_text("\n".join(f"this is {name}" for name in names for _ in range(2)))
    drawn = read_candidates(path, 40, seed=1)
    assert len(drawn) == len(set(drawn)) == 40
    places = [names.index(line.split()[-1]) for line in drawn]
    assert places == sorted(places)
    assert min(places) < 20
    assert max(places) > 120
    assert drawn == read_candidates(path, 40, seed=1) != read_candidates(path, 40, seed=2)


def test_nothing_speakable_is_one_line(tmp_path):
    """A text of numbers, and one that is not text, are named."""
    path = tmp_path / "text.txt"
    path.write_text("1 2 3\n")
    with pytest.raises(DataError, match=r"text.txt: nothing speakable in it; give a sentence a line"):
        read_candidates(path, 10, seed=1)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read_candidates(path, 10, seed=1)
