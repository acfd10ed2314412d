"""Streaming resampler to the rate of the model: any amount in, what is ready out, the tail at the end."""

import numpy as np

from asr.config import RATE_HZ
from asr.errors import AudioError

MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 768_000


class Resampler:
    """From `rate_hz` to 16 kHz by soxr (high quality, about 30 ms of delay at 48 kHz, none at 16 kHz).

    It remembers the last few hundred samples; feeding in any sizes gives the samples of feeding at once, bit for bit. After
    flush() it is used up. Raises AudioError for a rate that no recording has.
    """

    def __init__(self, rate_hz: float):
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise AudioError(f"a rate of {rate_hz:g} Hz; {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz can be recognised")
        self.rate_hz = rate_hz
        self._stream = None
        if rate_hz != RATE_HZ:
            import soxr
            self._stream = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="float32")

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """(n,) float32 at `rate_hz` -> (m,) float32 at 16 kHz, m from 0 up."""
        return self._stream.resample_chunk(samples) if self._stream else samples

    def flush(self) -> np.ndarray:
        """The tail, (m,) float32 at 16 kHz."""
        return self._stream.resample_chunk(np.zeros(0, np.float32), last=True) if self._stream else np.zeros(0, np.float32)
