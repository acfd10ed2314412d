"""How steady captions are and how soon they come, measured on streams whose captions are known."""

import numpy as np
import pytest

from asr.benchmark.captions import Seen, steadiness, watch
from asr.client.captions import Final, Partial
from asr.client.recognizer import StreamingRecognizer
from asr.config import RATE_HZ
from asr.decoding.hypothesis import Word
from tests.tones import recording, tone_models


def words(text: str, start_s: float = 0.0) -> tuple[Word, ...]:
    """Words of half a second each."""
    return tuple(Word(word, start_s + i / 2, start_s + (i + 1) / 2, 1.0) for i, word in enumerate(text.split()))


def test_changes_and_delays_of_known_captions():
    """A word that is replaced, one that is taken back, and one that only the final shows: each counts as what it is."""
    shown = [
        (0.6, Partial(words("a"), 0)),
        (1.2, Partial(words("a beat"), 0)),
        (1.7, Partial(words("a bee sees all"), 0)),          # beat -> bee
        (3.0, Final(words("a bee sees"), 0, 1.5, "pause")),  # all is taken back
        (4.0, Final(words("far", 3.0), 3, 3.5, "end")),      # another utterance
    ]
    changes, waits_s = steadiness([Seen(at_s, at_s, caption) for at_s, caption in shown])
    assert (changes.changed, changes.withdrawn, changes.final) == (2, 1, 4)
    assert waits_s == pytest.approx([0.1, 0.7, 0.2, 0.5])


def test_a_stream_that_hears_perfectly():
    """Tones in chunks of 320 ms: no word changes, each is seen at most a chunk and its right context after its end."""
    spoken = [("one", 0.4, 0.8), ("two", 0.88, 1.2), ("three", 4.0, 4.4)]
    stream = StreamingRecognizer(chunk_ms=320, models=tone_models())
    seen = watch(stream, recording(spoken, 6), cost=free)
    changes, waits_s = steadiness(seen)
    assert (changes.changed, changes.final) == (0, 3)
    assert all(0 < wait < 0.32 + 0.48 + 0.02 for wait in waits_s)
    assert [one.shown_s for one in seen] == sorted(one.shown_s for one in seen)


def test_work_counts_as_delay():
    """A machine that needs 90 ms for each step shows its words later, and takes more sound at once."""
    sizes = []

    class Slow(StreamingRecognizer):
        def feed(self, samples: np.ndarray):
            """Remember how much came at once."""
            sizes.append(len(samples))
            return super().feed(samples)

    quick, slow = (steadiness(watch(kind(chunk_ms=320, models=tone_models()), recording([("one", 0.4, 0.8)], 3), cost))[1][0]
                   for kind, cost in ((StreamingRecognizer, free), (Slow, slowly)))
    assert quick + 0.08 < slow < quick + 0.25
    assert max(sizes) >= 0.08 * RATE_HZ
    assert sum(sizes) == 3 * RATE_HZ


def free(function, *arguments) -> float:
    """Work that takes no time."""
    function(*arguments)
    return 0.0


def slowly(function, *arguments) -> float:
    """Work that takes 90 ms."""
    function(*arguments)
    return 0.09
