"""Chunks become longer on a machine that falls behind, and shorter again when it has time; no word suffers."""

import pytest

from asr.client.pace import Pace
from asr.client.recognizer import StreamingRecognizer
from asr.config import RATE_HZ
from tests.test_recognizer import agrees, heard, speech
from tests.tones import recording, tone_models


class Work:
    """In place of a recogniser."""

    chunk_ms = 320


def test_chunks_follow_the_work():
    """Longer while it is too much, up to the longest; shorter again, step by step, after a minute of ease, but not than was asked for."""
    pace = Pace(work := Work())
    assert [(pace.slow_down(), work.chunk_ms) for _ in range(3)] == [(True, 640), (True, 1280), (False, 1280)]
    assert not any(pace.work(0.5, 1.0) for _ in range(130))                    # half of a core is not ease
    changes = [number for number in range(130) if pace.work(0.2, 1.0)]
    assert (changes, work.chunk_ms) == ([49, 109], 320)
    assert pace.told == "captions come every 0.32 s now"


@pytest.mark.parametrize("change_s", [0.0, 3.1, 20.0])
def test_a_change_costs_no_word(change_s):
    """Whenever it comes, each word is in a final once, at its time; the utterances after it come in chunks of the new length."""
    spoken = speech(60)
    samples = recording(spoken, 62)
    stream, changed = StreamingRecognizer(models=tone_models()), round(change_s * RATE_HZ)
    captions = stream.feed(samples[:changed])
    stream.chunk_ms = 1280
    captions += stream.feed(samples[changed:]) + stream.flush()
    agrees(heard(captions), spoken)
    assert stream.chunk_ms == 1280
    if not change_s:
        usual = StreamingRecognizer(models=tone_models())
        assert len(captions) < 0.7 * len(usual.feed(samples) + usual.flush())
