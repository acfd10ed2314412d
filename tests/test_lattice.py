"""The n-best list: real hypotheses, each once, in order, with the scores that they would have by themselves."""

import numpy as np
import pytest

from asr.decoding import make_decoder
from asr.decoding.search import OPEN_WORD_SCORE, Search
from asr.units import BLANK_ID, PHONES, WORD_END
from tests.decoding_world import make_world, pronunciations, spoken
from tests.synthetic import speak

SENTENCE = "the old man saw the sea and the cat sat on the mat"
WORD_END_ID = PHONES.index(WORD_END)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """The beam decoder of a small language, which takes the best alignment and has a wide beam."""
    world = make_world(tmp_path_factory.mktemp("world"))
    return make_decoder(world, log_add=False, beam_size=5000, beam_threshold=60.0, end_threshold=60.0, blank_threshold=1.0, lm_weight=1.5,
                        word_score=0.3)


def n_best(decoder, phones: np.ndarray, count: int) -> list[tuple[float, str]]:
    """Scores and texts."""
    search = Search(decoder.trie, decoder.language, decoder.options, with_ways=True)
    search.step(phones)
    return [(score, " ".join(decoder.lexicon.words[word].decode() for word, _, _ in words)) for score, words in search.n_best(count)]


def score_alone(decoder, phones: np.ndarray, text: str) -> float:
    """The score of a text by its best alignment under CTC with an end after each word, over all pronunciations of its words.

    A state is (after how many words, unit within the next word); each phone and the end of a word is a state, and so is the blank after it.
    """
    said = [[phones_of.split() for word, phones_of in pronunciations() if word == each] for each in text.split()]
    between = np.maximum(phones[:, BLANK_ID], phones[:, WORD_END_ID])       # (T,) before, after and between words both are free
    before = np.cumsum(between)                                             # best score of each frame after the words so far
    before = np.concatenate([[0.0], before])                                # (T + 1,): of that many frames
    for number, ways in enumerate(said):
        after, last = np.full(len(before), -np.inf), number == len(said) - 1
        for way in ways:
            units = [PHONES.index(unit) for unit in way]
            on, off = np.full(len(units), -np.inf), np.full(len(units), -np.inf)
            ended = -np.inf
            for t, frame in enumerate(phones):
                came = np.concatenate([[before[t]], np.maximum(on, off)[:-1]])
                repeated = np.concatenate([[False], np.diff(units) == 0])
                came[repeated] = off[:-1][repeated[1:]]
                left = max(on[-1], off[-1])
                on, off = np.maximum(on, came) + frame[units], np.maximum(on, off) + frame[BLANK_ID]
                ended = max(left + frame[WORD_END_ID], ended + between[t])
                after[t + 1] = max(after[t + 1], ended)
            if last:
                after[-1] = max(after[-1], max(on[-1], off[-1]) + OPEN_WORD_SCORE)
        before = after
    words = [decoder.lexicon.words.tolist().index(word.encode()) for word in text.split()]
    options = decoder.options
    return before[-1] + options.lm_weight * decoder.language.contexts().sentence_score(words) + options.word_score * len(words)


@pytest.mark.parametrize("seed", range(4))
def test_hypotheses_are_real(decoder, seed):
    """Each has, near enough, the score of its best alignment by itself; the first has it exactly; none is there twice; best first."""
    phones = speak(spoken(SENTENCE), noise=1.5, confusion=0.3, seed=seed).phones
    found = n_best(decoder, phones, 40)
    scores, texts = zip(*found, strict=True)
    alone = [score_alone(decoder, phones, text) for text in texts]
    assert len(set(texts)) == len(texts) == 40
    assert list(scores) == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(alone[0], abs=1e-4)
    assert np.abs(np.array(scores) - alone).max() < 1.0      # a way that joined a trace late counts as if it had at once
    assert np.median(np.abs(np.array(scores) - alone)) < 1e-4


def test_what_merging_hides_is_found(decoder):
    """Words that sound alike, far apart: the beam ends with one of each, the list has all combinations, and no other text is better."""
    phones = speak(spoken("i see the night and the man went to the sea"), noise=1.0, seed=1).phones
    texts = [text for _, text in n_best(decoder, phones, 60)]
    for i_see in ("i see", "i sea"):
        for night in ("night", "knight"):
            for sea in ("sea", "see"):
                assert f"{i_see} the {night} and the man went to the {sea}" in texts


def test_the_first_is_the_searchs_own(decoder):
    """With and without ways the search finds the same; a list of one is its result."""
    phones = speak(spoken(SENTENCE), noise=1.5, confusion=0.3, seed=9).phones
    for options in ({}, {"log_add": True}):
        plain, kept = (Search(decoder.trie, decoder.language, decoder.options.with_changes(options), ways) for ways in (False, True))
        for search in (plain, kept):
            search.step(phones)
        words, score = plain.finish()
        [(best, first)] = kept.n_best(1)
        assert best == pytest.approx(score, abs=1e-9)
        assert [word for word, _, _ in first] == [word for word, _, _ in words]
        assert [kept.finish()[0], kept.finish()[1]] == [words, pytest.approx(score, abs=1e-9)]
