"""Noise to mix into speech: synthetic colours that are always there, recordings where they are given, babble of other utterances.

A NoiseBank is made once; drawing from it copies a stretch and computes nothing else, because the loader has a core to share.
"""

import numpy as np

from asr.config import RATE_HZ
from asr.training.audio_store import AudioStore

BANK_S = 20.0                        # length of each synthetic noise; it is periodic, so a stretch may run over its end
TALKERS = (3, 7)                     # of a babble: fewer is understood, more is noise
COLOURS = {"white": 0.0, "pink": -1.0, "brown": -2.0, "blue": 1.0}   # exponent of the power spectrum over frequency


class NoiseBank:
    """Stretches of noise of any length, each of unit power.

    `recordings` is a store of noise files (manifests.list_audio), `speech` the store whose utterances make babble; both optional.
    """

    def __init__(self, recordings: AudioStore | None = None, speech: AudioStore | None = None, seed: int = 0):
        rng = np.random.default_rng(seed)
        self._synthetic = [*(coloured(rng, exponent) for exponent in COLOURS.values()), *(hum(rng, hz) for hz in (50.0, 60.0)),
                           clicks(rng, 2.0), clicks(rng, 20.0), *(wandering(rng) for _ in range(8))]
        self._recordings = recordings
        self._speech = speech

    def draw(self, rng: np.random.Generator, num_samples: int, babble: float, recorded: float) -> np.ndarray:
        """float32 (num_samples,) of unit power; babble and recordings with the given probabilities, else synthetic."""
        kind = rng.random()
        if self._speech is not None and kind < babble:
            noise = self._babble(rng, num_samples)
        elif self._recordings is not None and kind < babble + recorded:
            noise = _stretch(rng, self._recordings.samples(rng.integers(len(self._recordings))), num_samples)
        else:
            noise = self.synthetic(rng, num_samples)
        return unit_power(noise)

    def synthetic(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """float32 (num_samples,): a stretch of a synthetic noise, of about unit power."""
        return _stretch(rng, self._synthetic[rng.integers(len(self._synthetic))], num_samples)

    def _babble(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        mixed = np.zeros(num_samples, np.float32)
        for _ in range(rng.integers(TALKERS[0], TALKERS[1] + 1)):
            voice = _stretch(rng, self._speech.samples(rng.integers(len(self._speech))), num_samples)
            mixed += unit_power(voice)
        return mixed


def unit_power(samples: np.ndarray) -> np.ndarray:
    """The samples scaled in place to a mean square of 1; silence stays silence."""
    power = np.dot(samples, samples) / max(len(samples), 1)
    if power > 0:
        samples *= np.float32(power ** -0.5)
    return samples


def _stretch(rng: np.random.Generator, source: np.ndarray, num_samples: int) -> np.ndarray:
    """float32 (num_samples,), a copy from a random place on, over the end to the beginning as often as needed."""
    start = int(rng.integers(len(source)))
    out = np.empty(num_samples, np.float32)
    filled = 0
    while filled < num_samples:
        piece = source[start:start + num_samples - filled]
        out[filled:filled + len(piece)] = piece
        filled, start = filled + len(piece), 0
    return out


def coloured(rng: np.random.Generator, exponent: float) -> np.ndarray:
    """float32 (BANK_S): Gaussian noise with power ~ frequency ** exponent above 20 Hz, periodic, of unit power."""
    frequencies_hz = np.fft.rfftfreq(round(BANK_S * RATE_HZ), 1.0 / RATE_HZ)
    return _shaped(rng, np.maximum(frequencies_hz, 20.0) ** (exponent / 2))


def wandering(rng: np.random.Generator) -> np.ndarray:
    """float32 (BANK_S): noise with a random smooth spectrum (+-15 dB) whose level swells and falls: fans, traffic, rooms."""
    frequencies_hz = np.fft.rfftfreq(round(BANK_S * RATE_HZ), 1.0 / RATE_HZ)
    corners_hz = np.geomspace(60.0, 8000.0, 8)
    curve_db = np.interp(np.log(np.maximum(frequencies_hz, 60.0)), np.log(corners_hz), rng.uniform(-15, 15, 8) - np.arange(8) * 3)
    noise = _shaped(rng, 10 ** (curve_db / 20))
    times_s = np.arange(len(noise)) / RATE_HZ
    swell_db = sum(rng.uniform(0, 4) * np.sin(2 * np.pi * (turns * times_s / BANK_S + rng.random())) for turns in (3, 11, 37))
    return unit_power(noise * (10 ** (swell_db / 20)).astype(np.float32))


def hum(rng: np.random.Generator, mains_hz: float) -> np.ndarray:
    """float32 (BANK_S): mains hum with 20 harmonics over a little white noise, periodic, of unit power."""
    times_s = np.arange(round(BANK_S * RATE_HZ)) / RATE_HZ
    waves = sum(rng.uniform(0.2, 1.0) / harmonic * np.sin(2 * np.pi * (mains_hz * harmonic * times_s + rng.random()))
                for harmonic in range(1, 21))
    return unit_power((waves + 0.03 * rng.standard_normal(len(times_s))).astype(np.float32))


def clicks(rng: np.random.Generator, rate_hz: float) -> np.ndarray:
    """float32 (BANK_S): short decaying knocks at random times, of unit power: keys, cutlery, a bad contact."""
    noise = 0.02 * rng.standard_normal(round(BANK_S * RATE_HZ)).astype(np.float32)
    for start in rng.integers(0, len(noise) - 800, round(BANK_S * rate_hz)):
        decay = np.exp(-np.arange(800) / rng.uniform(20, 200))
        noise[start:start + 800] += rng.uniform(0.2, 1.0) * decay * rng.standard_normal(800)
    return unit_power(noise)


def _shaped(rng: np.random.Generator, magnitudes: np.ndarray) -> np.ndarray:
    spectrum = magnitudes * (rng.standard_normal(len(magnitudes)) + 1j * rng.standard_normal(len(magnitudes)))
    spectrum[0] = 0
    return unit_power(np.fft.irfft(spectrum, round(BANK_S * RATE_HZ)).astype(np.float32))
