"""Several devices' sound lined up and summed: a clock of the test's own, devices that deliver by it, and clicks that all of them hear."""

import numpy as np
import pytest

from asr.client.capture import CaptureQueue
from asr.client.tracks import BEHIND, BEHIND_STEPS, STEP_S, Mixer, Track
from asr.config import RATE_HZ

STEP = round(STEP_S * RATE_HZ)
SLACK = 0.02 * RATE_HZ


class Fake:
    """In place of a Microphone: records clicks half way through every second of true time, from `begins_s` on."""

    def __init__(self, begins_s: float = 0.0, rate_hz: float = RATE_HZ, channels: int = 1, block_s: float = 0.02, speed: float = 1.0):
        self.rate_hz, self.queue = rate_hz, CaptureQueue(rate_hz)
        self._channels, self._block, self._pace_hz = channels, round(block_s * rate_hz), rate_hz * speed       # samples a true second
        self._position = round(begins_s * self._pace_hz)
        self.away = lambda now_s: False

    def deliver(self, now_s: float):
        """All blocks that are full by now, each as at its own time."""
        if self.away(now_s):
            return
        while (self._position + self._block) / self._pace_hz <= now_s + 1e-9:
            self.queue.put(self.record())
            self.queue.last_put_s = max(self._position / self._pace_hz, now_s - STEP_S)

    def record(self) -> np.ndarray:
        """The next block, (n, channels): a hum of 1 ms stands for a click."""
        true_s = (self._position + np.arange(self._block)) / self._pace_hz
        self._position += self._block
        clicks = 0.25 * (np.abs(true_s % 1 - 0.5005) < 0.0005)
        return np.repeat(clicks[:, None], self._channels, axis=1).astype(np.float32)

    def skip(self, seconds: float):
        """Record nothing of these seconds, and say nothing of it."""
        self._position += round(seconds * self._pace_hz)


class Run:
    """Steps a Mixer over fakes; `heard` is the mix with silence where the queue says that sound was lost."""

    def __init__(self, *fakes: Fake):
        self.fakes, self.now_s, self.queue = fakes, 0.0, CaptureQueue(RATE_HZ)
        self.tracks = [Track(fake) for fake in fakes]
        self.mixer = Mixer(self.tracks, self.queue)
        self._parts = [np.zeros(0, np.float32)]

    def until(self, end_s: float) -> "Run":
        """Step by step."""
        while self.now_s < end_s - STEP_S / 2:
            self.now_s = round(self.now_s + STEP_S, 6)
            for fake in self.fakes:
                fake.deliver(self.now_s)
            self.mixer.step()
            self._take()
        return self

    def finish(self) -> np.ndarray:
        """All that was heard, (n,)."""
        self.mixer.finish()
        self._take()
        return self.heard

    def _take(self):
        for block in self.queue.take(0):
            self._parts += [np.zeros(block.dropped, np.float32), block.samples]

    @property
    def heard(self) -> np.ndarray:
        """So far."""
        return np.concatenate(self._parts)


def clicks(samples: np.ndarray) -> list[tuple[int, float]]:
    """Where sound begins after silence, and its peak."""
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 0.02 * RATE_HZ) + 1) if len(loud) else []
    return [(int(group[0]), float(np.abs(samples[group]).max())) for group in groups]


@pytest.mark.parametrize(("first", "second"), [
    ({}, {"begins_s": 0.5}), ({"begins_s": 0.5}, {}), ({"block_s": 0.01}, {"begins_s": 1.3, "block_s": 0.064})])
def test_devices_are_lined_up_by_when_they_began(first, second):
    """A click that both hear is one click in the mix, as loud as both, and where it was."""
    heard = Run(Fake(**first), Fake(**second)).until(6).finish()
    begun_s = min(first.get("begins_s", 0), second.get("begins_s", 0))
    found = clicks(heard)[-4:]
    assert [at / RATE_HZ + begun_s for at, _peak in found] == pytest.approx([2.5, 3.5, 4.5, 5.5], abs=0.001)
    assert [peak for _at, peak in found] == pytest.approx([0.5] * 4)


@pytest.mark.parametrize(("rate_hz", "channels"), [(48_000, 2), (44_100, 1), (8_000, 1), (16_000, 6)])
def test_any_rates_and_channels(rate_hz, channels):
    """They line up to a millisecond, the resampler's delay included."""
    heard = Run(Fake(), Fake(0.5, rate_hz, channels)).until(6).finish()
    alone = Run(Fake(0.5, rate_hz, channels)).until(6).finish()
    assert len(heard) == pytest.approx(6 * RATE_HZ, abs=2 * SLACK)
    both, one = clicks(heard)[-4:], clicks(alone)[-4:]
    assert [at / RATE_HZ for at, _peak in both] == pytest.approx([2.5, 3.5, 4.5, 5.5], abs=0.001)
    assert [peak for _at, peak in both] == pytest.approx([0.25 + peak for _at, peak in one], abs=0.03)


def test_one_that_delivers_nothing_costs_nothing():
    """What the other one delivers goes through at once, sample by sample."""
    silent = Fake()
    silent.away = lambda _now_s: True
    run = Run(silent, Fake()).until(3)
    alone = Run(Fake()).until(3)
    np.testing.assert_array_equal(run.heard, alone.heard)
    assert len(run.heard) == pytest.approx(3 * RATE_HZ, abs=STEP)


def test_one_that_has_nothing_to_deliver_for_a_while():
    """The other is held up for half a second at most; what comes afterwards is in its place, and nothing counts as lost."""
    pausing = Fake(rate_hz=48_000)
    pausing.away = lambda now_s: 2.01 < now_s < 6.01
    run = Run(Fake(), pausing).until(2.2)
    assert len(run.heard) == pytest.approx(2.0 * RATE_HZ, abs=4 * SLACK)       # it may still come
    run.until(2.0 + BEHIND / RATE_HZ + (BEHIND_STEPS + 2) * STEP_S)
    assert len(run.heard) == pytest.approx(2.54 * RATE_HZ, abs=SLACK)
    run.until(5.9)
    assert len(run.heard) == pytest.approx(5.9 * RATE_HZ, abs=SLACK)           # not waited for
    pausing.skip(4)
    heard = run.until(9).finish()
    assert [at / RATE_HZ for at, _peak in clicks(heard)] == pytest.approx(np.arange(9) + 0.5, abs=0.002)
    assert [peak > 0.4 for _at, peak in clicks(heard)] == [True] * 2 + [False] * 4 + [True] * 3
    assert run.queue.dropped == 0


def test_what_comes_too_late_is_dropped():
    """A device that is held up for a second and then delivers all of it: the two are lined up again, and no time has been added."""
    late = Fake()
    late.away = lambda now_s: 2.01 < now_s < 3.01
    run = Run(Fake(), late).until(6)
    heard = run.finish()
    assert len(heard) == pytest.approx(6 * RATE_HZ, abs=SLACK)
    assert [at / RATE_HZ for at, _peak in clicks(heard)] == pytest.approx(np.arange(6) + 0.5, abs=0.001)
    assert [round(peak, 2) for _at, peak in clicks(heard)] == [0.5, 0.5, 0.25, 0.5, 0.5, 0.5]
    assert run.queue.dropped > BEHIND                                          # counted


def test_what_comes_late_in_parts_is_dropped():
    """It counts what has come, not in how many pieces: after the last one, both are lined up."""
    late = Fake()
    late.away = lambda now_s: 2.01 < now_s < 3.03
    run = Run(Fake(), late).until(3)
    for _ in range(20):              # 0.4 s of it
        late.queue.put(late.record())
        late.queue.last_put_s = 3.0
    heard = run.until(7).finish()
    assert len(heard) == pytest.approx(7 * RATE_HZ, abs=SLACK)
    assert [at / RATE_HZ for at, _peak in clicks(heard)][-4:] == pytest.approx([3.5, 4.5, 5.5, 6.5], abs=0.001)
    assert [round(peak, 2) for _at, peak in clicks(heard)][-4:] == [0.5] * 4


def test_both_held_up_lose_nothing():
    """After this program was stopped for two seconds, one device's sound comes 0.1 s after the other's: all of it is mixed."""
    first, second = Fake(), Fake()
    first.away = lambda now_s: 2.01 < now_s < 4.01
    second.away = lambda now_s: 2.01 < now_s < 4.11
    run = Run(first, second).until(7)
    heard = run.finish()
    assert [round(peak, 2) for _at, peak in clicks(heard)] == [0.5] * 7
    assert run.queue.dropped == 0


@pytest.mark.parametrize("speed", [0.97, 1.03])
def test_clocks_that_differ(speed):
    """Three percent apart, as after hours: a click is never heard twice more than half a second apart; the faster one sets the time."""
    heard = Run(Fake(), Fake(speed=speed)).until(30).finish()
    assert len(heard) == pytest.approx(30 * RATE_HZ * max(1, speed), abs=SLACK)
    groups = np.split(at := np.array([at for at, _peak in clicks(heard)]), np.flatnonzero(np.diff(at) > 0.5 * RATE_HZ) + 1)
    assert len(groups) == pytest.approx(30, abs=1)
    assert max(group[-1] - group[0] for group in groups) < 0.45 * RATE_HZ


def test_lost_samples_keep_their_place():
    """What a device's queue dropped is silence in the mix: its own clicks afterwards stand where they were, and it is told."""
    losing = Fake(rate_hz=48_000)
    run = Run(Fake(), losing).until(2)
    losing.away = lambda now_s: now_s < 3
    run.until(2.98)
    losing.skip(1)
    losing.queue.lose(48_000)
    heard = run.until(6).finish()
    assert [peak > 0.4 for _at, peak in clicks(heard)] == [True, True, False, True, True, True]
    assert [at / RATE_HZ for at, _peak in clicks(heard)] == pytest.approx(np.arange(6) + 0.5, abs=0.002)
    assert run.queue.dropped == 0                            # silence stood for it already: a device may pause


def test_lost_samples_without_a_pause_are_told():
    """A device whose blocks go on coming has lost a tenth of a second: that is counted."""
    losing = Fake()
    run = Run(Fake(), losing).until(2)
    losing.queue.lose(RATE_HZ // 10)
    losing.skip(0.1)
    run.until(6)
    assert run.queue.dropped == RATE_HZ // 10
    assert [round(peak, 2) for _at, peak in clicks(run.heard)][-3:] == [0.5] * 3


def test_a_long_absence_is_skipped():
    """A minute in which the machine slept, as both devices' queues say: the mix counts it, once, and does not hold a minute of zeros."""
    run = Run(Fake(), Fake()).until(2)
    for fake in run.fakes:
        fake.queue.lose(60 * RATE_HZ)
    run.until(4)
    assert run.queue.dropped > 45 * RATE_HZ
    assert len(run.heard) == pytest.approx(64 * RATE_HZ, abs=SLACK)


def test_the_sum_is_clipped():
    """Two loud devices stay within [-1, 1]."""
    fakes = [Fake(), Fake()]
    run = Run(*fakes)
    for fake in fakes:
        fake.queue.put(np.full((STEP, 1), -0.75, np.float32))
        fake.queue.last_put_s = STEP_S
    run.mixer.step()
    [block] = run.queue.take(0)
    assert len(block.samples) == STEP
    assert block.samples.dtype == np.float32
    assert (block.samples.min(), block.samples.max()) == (-1, -1)
