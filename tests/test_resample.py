"""The streaming resampler: feeding in any sizes gives what feeding at once gives."""

import numpy as np
import pytest

from asr.config import RATE_HZ
from asr.resample import Resampler


def resample(samples: np.ndarray, rate_hz: int, sizes) -> np.ndarray:
    """`samples` through a resampler, cut into the sizes that the iterator gives."""
    resampler, out, start = Resampler(rate_hz), [], 0
    while start < len(samples):
        size = next(sizes)
        out.append(resampler.feed(samples[start:start + size]))
        start += size
    return np.concatenate([*out, resampler.flush()])


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 44_100, 48_000, 192_000])
def test_any_sizes_equal_at_once(rate_hz):
    """Random block sizes, single samples among them, give the same samples bit for bit, and the right number of them."""
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(rate_hz + 17).astype(np.float32)
    whole = resample(samples, rate_hz, iter([len(samples)]))
    pieces = resample(samples, rate_hz, (int(rng.choice([1, 7, 480, 5000])) for _ in iter(int, 1)))
    np.testing.assert_array_equal(whole, pieces)
    assert len(whole) == pytest.approx(len(samples) * RATE_HZ / rate_hz, abs=1)
    assert whole.dtype == np.float32


def test_a_tone_stays_in_place():
    """A tone at 48 kHz comes out as the same tone at 16 kHz, neither shifted nor scaled."""
    seconds = np.arange(48_000) / 48_000
    out = resample(np.sin(2 * np.pi * 1000 * seconds).astype(np.float32), 48_000, iter([48_000]))
    expected = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(out[400:-400], expected[400:-400], atol=1e-3)


def test_what_is_above_8_khz_is_gone():
    """A tone above half the new rate does not come back as another."""
    out = resample(np.sin(2 * np.pi * 11_000 * np.arange(48_000) / 48_000).astype(np.float32), 48_000, iter([48_000]))
    assert np.abs(out[400:-400]).max() < 1e-3


def test_nothing_fed():
    """Without samples there are none, at any rate."""
    for rate_hz in (16_000, 44_100):
        assert resample(np.zeros(0, np.float32), rate_hz, iter(())).shape == (0,)
