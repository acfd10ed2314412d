"""Whether it still sounds as it did when the model last heard nothing, so that the model need not be asked: what silence costs.

The rule is strict. In each of eight bands the loudest moment must be neither louder nor much softer than the loudest of two seconds in
which the model heard not one phone. A hum or a fan that goes on is still; a fan that stops is not, and neither is what is said softer
than it, for its levels move. After half a minute the model listens again in any case.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from asr.config import RATE_HZ, SHIFT_SAMPLES, WINDOW_SAMPLES

LOUDER_DB, SOFTER_DB = 3.0, 6.0      # what the loudest moment may differ by; those of a steady noise differ by up to 3 dB
AGAIN_S = 30.0                       # then the model listens again
EDGES_HZ = (100, 250, 500, 800, 1200, 1800, 2600, 4000, 7600)
FLOOR = 1e-10                        # power of a full-scale sine is 0.5; below is silence, whatever it is

_FFT = 512
_WINDOW = np.hanning(WINDOW_SAMPLES).astype(np.float32)
_BAND_STARTS = np.searchsorted(np.arange(_FFT // 2 + 1) * RATE_HZ / _FFT, EDGES_HZ)


class Stillness:
    """What silence sounds like in one stream. `samples` are (n,) float32 at 16 kHz, a window (400) of them at least."""

    def __init__(self):
        self._loudest_db: np.ndarray | None = None           # (bands,)
        self._still = 0                                      # samples that were

    @property
    def known(self) -> bool:
        """Whether there is something to compare with."""
        return self._loudest_db is not None

    def learn(self, samples: np.ndarray) -> None:
        """The model heard nothing in these."""
        self._loudest_db, self._still = loudest_db(samples), 0

    def forget(self) -> None:
        """What comes may sound otherwise, or be heard otherwise."""
        self._loudest_db = None

    def lasts(self, samples: np.ndarray, new: int) -> bool:
        """Whether these sound the same, `new` of them for the first time; where not, or not asked for long, all is forgotten."""
        self._still += new
        difference = loudest_db(samples) - self._loudest_db
        still = bool((difference <= LOUDER_DB).all() and (difference >= -SOFTER_DB).all()) and self._still <= AGAIN_S * RATE_HZ
        if not still:
            self.forget()
        return still


def loudest_db(samples: np.ndarray) -> np.ndarray:
    """The level of each band in its loudest window -> (bands,), in dB of power."""
    windows = sliding_window_view(samples, WINDOW_SAMPLES)[::SHIFT_SAMPLES] * _WINDOW                 # (T, 400)
    power = np.abs(np.fft.rfft(windows, _FFT)) ** 2 * (2 / (_FFT * np.square(_WINDOW).sum()))         # (T, bins)
    bands = np.add.reduceat(power[:, :_BAND_STARTS[-1]], _BAND_STARTS[:-1], axis=1)                   # (T, bands)
    return 10 * np.log10(np.maximum(bands.max(axis=0), FLOOR))
