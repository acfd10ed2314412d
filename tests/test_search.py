"""The beam search by itself: what is settled, and what it costs to settle early."""

import numpy as np
import pytest

from asr.decoding import make_decoder
from asr.decoding.search import Search
from asr.units import PHONES
from tests.decoding_world import make_world, spoken
from tests.synthetic import speak

SENTENCE = "the old man saw the sea and the cat sat on the mat"


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """The beam decoder of a small language."""
    return make_decoder(make_world(tmp_path_factory.mktemp("world")))


def words_of(decoder, found) -> list[str]:
    """Texts of (word, node, frame) entries."""
    return [decoder.lexicon.words[word].decode() for word, _, _ in found]


@pytest.mark.parametrize("longest", [5, 30, 1000])
def test_settled_words_and_the_rest_are_the_result(decoder, longest):
    """Whatever is settled on the way, together with what is left it is the sentence; nothing older than the limit stays unsettled."""
    phones = speak(spoken(SENTENCE), noise=1.0, seed=1).phones
    search, settled = Search(decoder.trie, decoder.language, decoder.options), []
    for t in range(len(phones)):
        search.step(phones[t : t + 1])
        if t % 10 == 9:
            settled += search.settle(longest)
            assert all(end >= search.frames - longest for _, _, end in search.best()[0])
    assert len(settled) > 5
    assert " ".join(words_of(decoder, settled + search.finish()[0])) == SENTENCE


def test_settling_changes_no_score(decoder):
    """Scores count from the start, though what is common to all states is taken out on the way."""
    phones = speak(spoken(SENTENCE), noise=1.0, seed=2).phones
    scores = []
    for every in (1, 20, 10_000):
        search = Search(decoder.trie, decoder.language, decoder.options)
        for t in range(len(phones)):
            search.step(phones[t : t + 1])
            if t % every == every - 1:
                search.settle(1000)
        scores.append(search.finish()[1])
    assert scores[0] == pytest.approx(scores[2], abs=1e-6)
    assert scores[1] == pytest.approx(scores[2], abs=1e-6)


def test_forgotten_contexts_change_nothing(decoder, monkeypatch):
    """Letting go of language model contexts on the way gives the same words and score."""
    phones = speak(spoken(SENTENCE), noise=1.5, confusion=0.2, seed=3).phones
    results = []
    for kept in (0, 10**9):
        monkeypatch.setattr("asr.decoding.search._CONTEXTS_KEPT", kept)
        search, settled = Search(decoder.trie, decoder.language, decoder.options), []
        for start in range(0, len(phones), 10):
            search.step(phones[start : start + 10])
            settled += search.settle(1000)
        words, score = search.finish()
        results.append((words_of(decoder, settled + words), round(score, 6)))
    assert results[0] == results[1]


@pytest.mark.parametrize(("path", "text"), [
    ("M IH D - D EY |", "midday"), ("M IH D D EY |", "miday"), ("M - IH IH - D - - - D EY |", "midday"),
])
def test_skipped_blanks_keep_repeats_apart(decoder, path, text):
    """Two equal phones with a sure blank between are two, though that frame skips the beam; without one they are the same phone."""
    labels = [0 if unit == "-" else PHONES.index(unit) for unit in path.split()]
    phones = np.full((len(labels), len(PHONES)), np.log(1e-4), np.float32)
    phones[np.arange(len(labels)), labels] = np.log(1 - 1e-4 * (len(PHONES) - 1))
    assert phones[0].max() > np.log(decoder.options.blank_threshold)         # as sure as a skipped blank
    search = Search(decoder.trie, decoder.language, decoder.options)
    search.step(phones)
    assert words_of(decoder, search.finish()[0]) == [text]


def test_words_that_the_beam_disagrees_on_are_not_shown_yet(decoder):
    """Of an emission between two words, both stay hidden from a share that neither reaches; the words before are shown; sharing falls."""
    sure, unsure = speak(spoken("the old man saw"), noise=0.1, seed=4).phones, speak(spoken("sea"), noise=0.1, seed=4).phones
    other = speak(spoken("mat"), noise=0.1, seed=4).phones
    length = min(len(unsure), len(other))
    between = np.logaddexp(unsure[:length], other[:length]) - np.log(2)
    search = Search(decoder.trie, decoder.language, decoder.options)
    search.step(sure)
    search.step(between)
    words = {share: words_of(decoder, search.best(share)[0]) for share in (0.0, 0.5, 0.9, 1.01)}
    assert words[0.9][:3] == ["the", "old", "man"]
    assert len(words[0.0]) > len(words[0.9]) > len(words[1.01]) == 0
    assert words[0.0][:len(words[0.5])] == words[0.5]
    shares = search._shares(search.best()[0], search._fold(search._blank, search._phone))
    assert all(np.diff(shares) <= 1e-12)
    assert 0 < shares[-1] < shares[0] <= 1 + 1e-9
