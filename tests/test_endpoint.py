"""When an utterance ends."""

import numpy as np
import pytest

from asr.config import FRAME_S
from asr.decoding.emission import Emission
from asr.decoding.endpoint import Endpoint, EndpointRules

BLANK, PHONE, WORD_END = 0, 7, 40


def frames(unit: int, seconds: float) -> Emission:
    """`seconds` in which `unit` is the likeliest phone unit."""
    phones = np.full((round(seconds / FRAME_S), 41), -9.0, np.float32)
    phones[:, unit] = 0.0
    return Emission(phones, np.zeros((len(phones), 5), np.float32))


def first_rule(*parts: Emission) -> tuple[str | None, float]:
    """The first rule that fires, frame by frame, and when."""
    endpoint, whole = Endpoint(EndpointRules()), Emission.concatenate(parts)
    for t in range(len(whole)):
        rule = endpoint.step(whole[t : t + 1])
        if rule:
            return rule, endpoint.length_s
    return None, endpoint.length_s


@pytest.mark.parametrize(("parts", "rule", "after_s"), [
    ((frames(BLANK, 5.0),), "without_text", 2.4),
    ((frames(PHONE, 1.0), frames(WORD_END, 0.04), frames(BLANK, 5.0)), "after_text", 1.8),
    ((frames(PHONE, 0.04), frames(BLANK, 5.0)), "without_text", 2.44),
    ((frames(PHONE, 13.0), frames(BLANK, 5.0)), "after_long_text", 13.4),
    ((frames(PHONE, 30.0),), "longest", 20.0),
    ((frames(PHONE, 1.0), frames(BLANK, 0.6), frames(PHONE, 1.0), frames(BLANK, 0.6)), None, 3.2),
])
def test_rules(parts, rule, after_s):
    """Each rule fires at its time, and a pause within a sentence at none."""
    fired, at_s = first_rule(*parts)
    assert (fired, at_s) == (rule, pytest.approx(after_s, abs=0.041))


def test_chunks_do_not_matter_for_silence():
    """Silence is counted over chunks of any size."""
    for chunk in (1, 3, 8, 75):
        endpoint = Endpoint(EndpointRules())
        for part in (frames(PHONE, 0.4), frames(BLANK, 0.6)):
            for start in range(0, len(part), chunk):
                assert endpoint.step(part[start : start + chunk]) is None
        assert endpoint.silence_s == pytest.approx(0.6)
        assert endpoint.step(frames(BLANK, 0.2)) == "after_text"


def test_rules_are_settings():
    """Another rule's value moves the end."""
    endpoint = EndpointRules(after_text_s=0.2).start()
    endpoint.step(frames(PHONE, 1.0))
    assert endpoint.step(frames(BLANK, 0.2)) == "after_text"
