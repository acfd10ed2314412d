"""Phones on their frames, evidence, confidence, and the choice of unknown words."""

import itertools

import numpy as np
import pytest

from asr.decoding.alignment import AlignedWord, align, align_word
from asr.decoding.confidence import confidence, evidence_of, fit
from asr.decoding.greedy import SpelledWord
from asr.decoding.options import Calibration, DecodingOptions
from asr.decoding.unknown import choose

WORD_END = 4


def random_log_probs(frames: int, seed: int) -> np.ndarray:
    """(frames, 5) log-probabilities."""
    logits = np.random.default_rng(seed).normal(0, 2, (frames, 5))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


@pytest.mark.parametrize("units", [[1], [1, 2], [1, 1], [2, 1, 1, 3]])
def test_alignment_is_the_best_of_all(units):
    """Against every possible labelling of seven frames that collapses to the units."""
    phones = random_log_probs(7, seed=len(units))
    path, score = align(phones, units, WORD_END)
    best = -np.inf
    for labels in itertools.product(range(5), repeat=7):
        spoken = [label for label, _ in itertools.groupby(labels)]
        start = next((i for i, label in enumerate(labels) if label not in (0, WORD_END)), 7)
        if [label for label in spoken if label not in (0, WORD_END)] == units and WORD_END not in labels[start:]:
            best = max(best, phones[np.arange(7), labels].sum())
    assert score == pytest.approx(best)
    assert [units[k] for k, _ in itertools.groupby(path[path >= 0])] == units


def test_words_that_do_not_fit_get_no_evidence():
    """More phones than frames, or no frames: a word all the same, with times in order and little confidence."""
    for frames in (0, 2):
        word = align_word("long", [1, 2, 3], random_log_probs(frames, 0), 10, WORD_END)
        assert word.first_frame == 10 < word.end_frame
        assert confidence(word.evidence, Calibration()) < 0.1


def test_calibration_finds_the_curve():
    """Fitted on words whose chance to be right is known, the curve gives that chance; it never falls."""
    random = np.random.default_rng(1)
    evidence = random.normal(1, 2, 4000)
    right = random.random(4000) < 1 / (1 + np.exp(-(1.3 * evidence - 0.5)))
    fitted = fit(evidence, right)
    assert fitted.slope == pytest.approx(1.3, abs=0.15)
    assert fitted.offset == pytest.approx(-0.5, abs=0.15)
    assert fit([0.0, 1.0], [True, False]).slope > 0
    assert evidence_of(confidence(0.8, fitted), fitted) == pytest.approx(0.8)


def word(text: str, first: int, end: int, gap: float = 0.0) -> AlignedWord:
    """A lexicon word."""
    return AlignedWord(text, first, end, 3.0, gap)


def spelled(text: str, first: int, end: int, log_prob: float = -0.05) -> SpelledWord:
    """A word of the pieces head."""
    return SpelledWord(text, first, end, [log_prob] * len(text))


KNOWN = {"the", "sand", "thorpe", "house"}


@pytest.mark.parametrize(("gap", "middle", "expected"), [
    (1.0, spelled("zanthorp", 12, 24), "the zanthorp house"),
    (0.1, spelled("zanthorp", 12, 24), "the sand thorpe house"),             # the lexicon's words explain the phones
    (1.0, spelled("zanthorp", 12, 24, -0.9), "the sand thorpe house"),       # the speller is not sure
    (1.0, spelled("house", 12, 24), "the sand thorpe house"),                # the word is in the lexicon: the beam knows better
    (1.0, spelled("zanthorp", 80, 90), "the sand thorpe house"),             # it is elsewhere
    (1.0, spelled("sandthorp", 12, 24), "the sand thorpe house"),            # a misspelling of what the lexicon has
])
def test_choice_of_unknown_words(gap, middle, expected):
    """A spelled word replaces all lexicon words in its time, only if they fit badly, it is sure and not in the lexicon."""
    words = [word("the", 2, 6), word("sand", 10, 16, gap), word("thorpe", 18, 25, gap), word("house", 30, 36)]
    heard = sorted([spelled("the", 2, 6), middle, spelled("house", 31, 35)], key=lambda w: w.first_frame)
    chosen = choose(words, heard, KNOWN, DecodingOptions())
    assert " ".join(w.text for w in chosen) == expected
    assert sum(w.replaces for w in chosen) == 4
    assert [w.first_frame for w in chosen] == sorted(w.first_frame for w in chosen)
