"""What is lost of a microphone's sound while the program does not run: by the times at which it gets what."""

import numpy as np
import pytest

from asr.client.arrears import Arrears
from asr.client.capture import CaptureQueue

RATE_HZ = 48_000
STEP_S = 0.02


def lost_s(*stops: tuple[float, float, float], drift: float = 0.0, seconds: float = 60.0) -> list[tuple[float, float]]:
    """(when, how much) is found lost, in seconds, of a device that goes on while the program stops: (from, for so long, kept of it)."""
    arrears, now_s, found = Arrears(RATE_HZ), 0.0, []
    while now_s < seconds:
        now_s += STEP_S
        deliveries = [STEP_S * (1 + drift)]
        for at_s, long_s, kept_s in stops:
            if at_s <= now_s < at_s + STEP_S:
                now_s += long_s
                deliveries += [STEP_S] * round(kept_s / STEP_S)                # at once, as soon as it runs again
        for delivered_s in deliveries:
            if lost := arrears.after(now_s, round(delivered_s * RATE_HZ)):
                found.append((now_s, lost / RATE_HZ))
    return found


@pytest.mark.parametrize("stops", [[], [(10, 5, 5)], [(10, 0.8, 0)], [(10, 5, 5), (16, 4, 4), (40, 20, 20)]])
def test_nothing_is_lost_where_all_was_kept(stops):
    """Nor where there was no stop, or one too short to tell."""
    assert lost_s(*stops) == []


def test_what_no_buffer_held_is_lost():
    """It is found two seconds after the program runs again, all of it and once; a stop soon after another is one with it."""
    assert lost_s((10, 5, 0)) == [(pytest.approx(17, abs=0.1), pytest.approx(5, abs=0.1))]
    assert lost_s((10, 50, 36), seconds=90) == [(pytest.approx(62, abs=0.1), pytest.approx(14, abs=0.1))]
    assert lost_s((10, 5, 2), (16, 4, 1)) == [(pytest.approx(22, abs=0.1), pytest.approx(6, abs=0.1))]
    assert [seconds for _, seconds in lost_s((10, 5, 0), (30, 3, 0))] == pytest.approx([5, 3], abs=0.1)


def test_clocks_that_run_apart_lose_nothing():
    """A device that is 200 ppm slow lacks seven seconds after ten hours: that is no loss."""
    assert lost_s((36_000, 5, 5), drift=-2e-4, seconds=36_100) == []


def test_lost_sound_stands_where_it_is_missing():
    """The block after it tells how much came before it is missing, and the sum of all that was dropped holds it."""
    queue = CaptureQueue(RATE_HZ)
    for lost in (0, 96_000, 0):
        queue.lose(lost)
        queue.put(np.zeros(480, np.float32))
    assert [block.dropped for block in queue.take(0)] == [0, 96_000, 0]
    assert queue.dropped == 96_000
