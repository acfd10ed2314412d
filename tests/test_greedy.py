"""The greedy decoder: best path through the word pieces."""

from types import SimpleNamespace

import numpy as np
import pytest

from asr.config import FRAME_S
from asr.decoding import make_decoder
from asr.decoding.emission import Emission
from tests.synthetic import PIECES, speak

WORDS = [("hello", "HH AH L OW"), ("small", "S M AO L"), ("world", "W ER L D")]


@pytest.fixture(scope="module")
def decoder():
    """A greedy decoder needs the pieces alone."""
    return make_decoder(SimpleNamespace(pieces=PIECES, decoding={}), "greedy")


def path(*units: str) -> Emission:
    """An emission whose best path is `units`, one a frame, with probability 0.9 each."""
    pieces = np.full((len(units), len(PIECES)), np.log(0.1 / (len(PIECES) - 1)), np.float32)
    pieces[np.arange(len(units)), [PIECES.index(unit) for unit in units]] = np.log(0.9)
    return Emission(np.zeros((len(units), 41), np.float32), pieces)


def recognise(decoder, emission: Emission, chunk: int):
    """The hypothesis of an emission fed `chunk` frames at a time."""
    stream = decoder.start()
    for start in range(0, len(emission), chunk):
        stream.step(emission[start : start + chunk])
    return stream.finish()


def test_repeats_are_one_and_a_blank_parts_them(decoder):
    """CTC's rule: equal neighbours are one unit, unless a blank is between."""
    blank = "<blank>"
    assert recognise(decoder, path("▁b", "▁b", "e", blank, "e", "e", blank, "▁b", "e"), 9).text == "bee be"


@pytest.mark.parametrize("chunk", [1, 2, 5, 1000])
def test_step_by_step_is_the_whole(decoder, chunk):
    """Words, times and confidences do not depend on how an emission is cut."""
    emission = speak(WORDS, noise=1.0, seed=4)
    whole, parts = recognise(decoder, emission, len(emission)), recognise(decoder, emission, chunk)
    assert whole.text == "hello small world"
    assert parts.words == whole.words
    assert parts.score == pytest.approx(whole.score, abs=1e-3)


def test_times_are_those_of_the_pieces(decoder):
    """From the first piece's first frame to the last piece's last, after the stream's offset."""
    stream = decoder.start(offset_s=2.0)
    stream.step(path("<blank>", "▁a", "t", "t", "<blank>", "<blank>", "▁i", "<blank>"))
    words = stream.best().words
    assert [w.text for w in words] == ["at", "i"]
    frames = [(round((w.start_s - 2.0) / FRAME_S, 3), round((w.end_s - 2.0) / FRAME_S, 3)) for w in words]
    assert frames == [(1, 4), (6, 7)]


def test_confidence_falls_with_noise(decoder):
    """Noise lowers confidence; both lie in [0, 1]."""
    clear, noisy = (recognise(decoder, speak(WORDS, noise=noise, strength=6.0), 1000).words for noise in (0.1, 1.5))
    assert len(clear) == 3
    assert len(noisy) > 0
    assert 1 >= np.mean([w.confidence for w in clear]) > np.mean([w.confidence for w in noisy]) >= 0


def test_silence_gives_no_words(decoder):
    """Blanks, and no frames at all."""
    assert decoder.start().finish().text == ""
    assert recognise(decoder, path(*["<blank>"] * 20), 3).words == ()
