"""The final pass with a word model: which hypothesis is taken, and what becomes of its words."""

from dataclasses import replace

import numpy as np
import pytest

from asr.decoding import make_decoder
from asr.decoding.beam import BeamDecoder
from asr.decoding.hypothesis import Word
from asr.decoding.rescoring import Rescorer
from tests.decoding_world import make_world, spoken
from tests.synthetic import speak

SENTENCE = "the knight went to the sea too"


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """The beam decoder of a small language, that asks a word model about forty hypotheses."""
    return make_decoder(make_world(tmp_path_factory.mktemp("world")), rescoring={"hypotheses": 40, "weight": 2.0, "ngram": 0.5,
                                                                                 "word_score": 0.25})


@pytest.fixture(scope="module")
def emission():
    """Somebody says the sentence, clearly."""
    return speak(spoken(SENTENCE), noise=0.3, seed=3)


class Fond(Rescorer):
    """A word model that has one favourite: each time it is said the hypothesis is ten powers of ten likelier."""

    def __init__(self, lexicon: np.ndarray, word: str):
        self._favourite = lexicon.tolist().index(word.encode())

    def scores(self, hypotheses) -> np.ndarray:
        return np.array([10.0 * words.count(self._favourite) for words in hypotheses])


def fond_of(decoder: BeamDecoder, word: str) -> BeamDecoder:
    """The decoder with such a word model."""
    return BeamDecoder(decoder.pieces, decoder.lexicon, decoder.trie, decoder.language, decoder.options, Fond(decoder.lexicon.words, word))


@pytest.mark.parametrize(("favourite", "text"), [
    ("knight", "the knight went to the sea too"), ("night", "the night went to the sea too"), ("two", "the knight went two the sea two"),
])
def test_the_word_models_choice(decoder, emission, favourite, text):
    """Among words that sound alike the model's is said, each with its time; a stream of partials, and its end, does not ask it."""
    plain = decoder.decode(emission, 2.0)
    chosen = fond_of(decoder, favourite).decode(emission, 2.0)
    assert chosen.text == text
    assert [word.start_s for word in chosen.words] == pytest.approx([word.start_s for word in plain.words])
    stream = fond_of(decoder, favourite).start(2.0)
    stream.step(emission)
    assert stream.finish() == plain


def test_what_was_shown_stays_where_it_may(decoder, emission):
    """A word that a reader has seen at its place outweighs the word model where `shown` is larger; elsewhere it does not."""
    def chosen(shown: float, *seen: Word) -> str:
        options = {**vars(decoder.options.rescoring), "shown": shown}
        return fond_of(decoder, "knight").with_changes(rescoring=options).decode(emission, 2.0, seen).text

    [night] = [word for word in fond_of(decoder, "night").decode(emission, 2.0).words if word.text == "night"]
    assert chosen(25.0, night) == "the night went to the sea too"           # the word model's is worth 20
    assert chosen(15.0, night) == SENTENCE
    assert chosen(25.0, replace(night, end_s=night.end_s + 1.0)) == SENTENCE
    assert chosen(25.0) == SENTENCE


def test_without_a_word_model_or_a_list(decoder, emission):
    """Whole and in steps are the same where there is nothing to ask, or nobody to ask it."""
    stream = decoder.start()
    stream.step(emission)
    assert decoder.decode(emission) == stream.finish()
    assert fond_of(decoder, "night").with_changes(rescoring={"hypotheses": 0}).decode(emission) == stream.finish()


def test_scores(decoder):
    """The word model's score times its weight is added, the n-gram's counts with its new weight, and each word with its own."""
    words = {word: place for place, word in enumerate(decoder.lexicon.words.tolist())}
    hypotheses = [(-5.0, tuple((words[word.encode()], 0, 0) for word in text.split())) for text in ("the night", "the knight went")]
    found = Fond(decoder.lexicon.words, "night").choose(hypotheses, decoder.language, decoder.options)
    for (score, said), total, favourites in zip(hypotheses, found, (1, 0), strict=True):
        ngram = decoder.language.contexts().sentence_score([word for word, _, _ in said])
        assert total == pytest.approx(score + 2.0 * 10.0 * favourites + (0.5 - decoder.options.lm_weight) * ngram + 0.25 * len(said))


def test_doubtful_utterances_are_taken_for_noise(decoder, emission):
    """Where the mean of the words' confidences is below the least, a final and a partial have no words; one word alone may be below."""
    words = decoder.decode(emission).words
    mean = np.mean([word.confidence for word in words])
    for least, expected in ((mean - 0.01, words), (mean + 0.01, ())):
        strict = decoder.with_changes(least_confidence=least)
        assert strict.decode(emission).words == expected
        stream = strict.start()
        stream.step(emission)
        assert bool(stream.best().words) == bool(expected)
        assert stream.finish().words == words                # what the endpoint's rules go by


def test_silence(decoder):
    """Where nothing is said there is nothing to choose from."""
    emission = speak([], seed=0)
    assert fond_of(decoder, "night").decode(emission).words == ()
    assert fond_of(decoder, "night").decode(emission[:0]).words == ()
