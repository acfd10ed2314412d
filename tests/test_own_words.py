"""The user's own words: the list, what is wrong with one, and that its words are understood."""

import numpy as np
import pytest

from asr.decoding import make_decoder
from asr.decoding.language_model import LanguageModel
from asr.decoding.lexicon_trie import read_pronunciations
from asr.decoding.own_words import OwnWord, add_words, parse_words, read_list
from asr.errors import DataError
from asr.units import PHONES
from tests.decoding_world import make_world, spoken
from tests.synthetic import speak

LIST = """
# names
Oslo = OW S L OW   # a town
Oslo = AA1 Z L OW0
the knight
Dr. Søren
"""
OSLO = ("oslo", "OW S L OW")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The files of a small language, whose decoder makes no words of pieces."""
    return make_world(tmp_path_factory.mktemp("world"), unknown={"confidence": 2.0})


def no_one(words: list[str]):
    """Pronounces nothing."""
    return [[] for _ in words]


def said(decoder, words) -> str:
    """What is understood of words with their phones."""
    return decoder.decode(speak(words, noise=0.3, seed=3)).text


def test_a_list():
    """Comments go, phrases are their words, stress is left out, each pronunciation stands once."""
    assert parse_words((LIST + LIST).splitlines()) == [
        OwnWord("oslo", ("OW", "S", "L", "OW")), OwnWord("oslo", ("AA", "Z", "L", "OW")), OwnWord("the"), OwnWord("knight"),
        OwnWord("doctor"), OwnWord("soren")]


def test_a_name_is_understood(world):
    """It comes out where it was said, and nowhere else; without the list the lexicon's words stand there."""
    plain = make_decoder(world)
    own = make_decoder(world, own_words=parse_words(LIST.splitlines()[:4]))
    sentence = [*spoken("we went to"), OSLO, *spoken("in the morning")]
    assert "oslo" not in said(plain, sentence)
    assert said(own, sentence) == "we went to oslo in the morning"
    assert said(own, spoken("the knight went to the sea too")) == said(plain, spoken("the knight went to the sea too"))


@pytest.mark.parametrize("word", ["by", "bye", "buy"])
def test_a_word_that_the_lexicon_has_is_taken_more_willingly(world, monkeypatch, word):
    """Of words that sound alike the user's is written, where the least score is above what the language model has for the others."""
    monkeypatch.setattr("asr.decoding.own_words.LEAST_SCORE", -0.1)
    assert said(make_decoder(world, own_words=[OwnWord(word)]), spoken("we went buy it")).split()[2] == word


def test_the_lexicon_with_them(world, monkeypatch):
    """All words are there as before, with the new ones in their places; the least score is that of the list's words alone."""
    monkeypatch.setattr("asr.decoding.own_words.LEAST_SCORE", -1.0)
    lexicon = read_pronunciations(world.path("lexicon.txt.gz"), tuple(PHONES))
    own = [OwnWord("oslo", ("OW", "S", "L", "OW")), OwnWord("aachen"), OwnWord("cat")]
    merged, least = add_words(lexicon, own, tuple(PHONES), lambda words: [[("AA", "K", "AH", "N"), ("AA", "HH", "EH", "N")]])
    entries = {(merged.words[word].decode(), tuple(PHONES[unit] for unit in phones[:length]))
               for word, phones, length in zip(merged.word_of, merged.phones, merged.lengths, strict=True)}
    before = {(lexicon.words[word].decode(), tuple(PHONES[unit] for unit in phones[:length]))
              for word, phones, length in zip(lexicon.word_of, lexicon.phones, lexicon.lengths, strict=True)}
    assert entries - before == {("oslo", ("OW", "S", "L", "OW")), ("aachen", ("AA", "K", "AH", "N")), ("aachen", ("AA", "HH", "EH", "N"))}
    assert before < entries
    assert merged.words.tolist() == sorted(merged.words.tolist())
    assert merged.words[least == -1.0].tolist() == [b"aachen", b"cat", b"oslo"]
    language = LanguageModel(world.path("language.binary"), merged.words, least)
    words = np.array([merged.words.tolist().index(word) for word in (b"oslo", b"mat")])
    scores = language.contexts().scores(np.zeros(2, np.int64), words)
    assert scores[0] == -1.0
    plain = LanguageModel(world.path("language.binary"), lexicon.words).contexts()
    assert scores[1] == plain.score(0, lexicon.words.tolist().index(b"mat"))


@pytest.mark.parametrize(("text", "told"), [
    ("北京", r"list.txt:1: '北京' has no word with the letters a-z"), ("oslo\nnew york = N UW", r"list.txt:2: one word, =, its phones"),
    ("oslo =", "list.txt:1: one word, =, its phones"),
])
def test_a_list_with_a_fault(tmp_path, text, told):
    """The file and the line are told."""
    (tmp_path / "list.txt").write_text(text, "utf-8")
    with pytest.raises(DataError, match=told):
        read_list(tmp_path / "list.txt")


def test_no_list(tmp_path, world):
    """A file that is not there, one that is no text, too many words, unknown phones, a word that nobody can pronounce."""
    with pytest.raises(DataError, match="absent.txt: the list of words cannot be read"):
        read_list(tmp_path / "absent.txt")
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_list(tmp_path / "list.txt")
    with pytest.raises(DataError, match="at most 10,000"):
        parse_words("".join(chr(ord("a") + int(digit)) for digit in str(number)) for number in range(20_000))
    lexicon = read_pronunciations(world.path("lexicon.txt.gz"), tuple(PHONES))
    with pytest.raises(DataError, match="'oslo' has the phone 'Ø'"):
        add_words(lexicon, [OwnWord("oslo", ("Ø",))], tuple(PHONES), no_one)
    with pytest.raises(DataError, match="nothing is known of how 'oslo' is said"):
        add_words(lexicon, [OwnWord("oslo")], tuple(PHONES), no_one)
    with pytest.raises(DataError, match="need the beam decoder"):
        make_decoder(world, "greedy", own_words=[OwnWord("cat")])
