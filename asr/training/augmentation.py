"""Clean speech made like speech met outside: rooms, noise, microphones, levels, telephones, codecs.

Works on float32 waveforms with numpy and draws all chance from the generator it is given, so the caller decides what is repeatable.
The order is that of the real chain: room, noise, frequency response of the microphone, level, clipping, line or codec.
Speed and SpecAugment are not here: both are nearly free on the features (features.py).
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
import soundfile
import soxr

from asr.config import RATE_HZ
from asr.training.noise import NoiseBank
from asr.training.rooms import LEAD_SAMPLES, RoomBank

FILTER_TAPS = 256                    # of the random frequency response: 62 Hz resolution, 8 ms either side
LEVEL_WINDOW = 320                   # 20 ms: level of speech is measured over windows that are not pauses
PAUSE_DB = 30.0                      # a window this much below the loudest is a pause
LINE_HZ = 8000                       # telephone line
EMPTY_LEVEL_DB = (-70.0, -25.0)      # of noise without speech, in full scale
CODECS = {                           # how soundfile is asked for it, and limits of its compression level (0 to 1), measured on speech
    "MP3": ({"format": "MP3", "subtype": "MPEG_LAYER_III"}, (0.8, 0.99)),        # 27 to 21 kbit/s, variable: the constant rates shift
    "Opus": ({"format": "OGG", "subtype": "OPUS"}, (0.95, 0.99)),                # 20 to 9 kbit/s
}


@dataclass(frozen=True)
class AugmentationConfig:
    """How often each distortion is applied (0 = never), and between which limits; every range is uniform."""

    ramp_passes: float = 0.0                             # all of these rise from nothing to full strength over so many passes
    room: float = 0.3
    noise: float = 0.4
    noise_snr_db: tuple[float, float] = (0.0, 30.0)      # against the speech without its pauses
    noise_babble: float = 0.25                           # share of noises that are other talkers
    noise_recorded: float = 0.5                          # share of noises that are recordings, where such are given
    response: float = 0.25                               # random frequency response
    response_db: float = 8.0                             # it stays within +- this much
    low_pass: float = 0.4                                # share of responses that also lose everything above a frequency
    low_pass_hz: tuple[float, float] = (2800.0, 7000.0)
    gain: float = 0.7
    gain_db: tuple[float, float] = (-20.0, 6.0)
    clip: float = 0.05
    clip_db: tuple[float, float] = (3.0, 12.0)           # peaks driven this much over full scale
    telephone: float = 0.06                              # 300-3400 Hz, 8 kHz, mu-law
    codec: float = 0.03                                  # MP3 or Opus at a low rate: the dearest by far
    codec_opus: float = 0.15                             # share that is Opus: 18 to 30 ms a second of audio, MP3 5, a room 0.3


class Augmenter:
    """Distorts utterances as `config` says, with the noises and rooms given (None: never any)."""

    def __init__(self, config: AugmentationConfig, noise: NoiseBank | None = None, rooms: RoomBank | None = None):
        self.config = config
        self.noise = noise
        self.rooms = rooms

    def apply(self, samples: np.ndarray, rng: np.random.Generator, passes: float = math.inf) -> np.ndarray:
        """float32 (n,) in [-1, 1] -> a new float32 (n,) in [-1, 1]; speech stays at its place in time.

        `passes` over the data have been done; distortions are rarer during the first `ramp_passes`, when a model learns slowly anyway.
        """
        config = self.config
        # All choices are drawn first: the same generator state makes the same choices, whatever each one then draws.
        room, noise, response, gain, clip, telephone, codec = rng.random(7) / self._strength(passes)
        if self.rooms is not None and room < config.room:
            samples = through_room(samples, self.rooms[rng.integers(len(self.rooms))])
        if self.noise is not None and noise < config.noise:
            sound = self.noise.draw(rng, len(samples), config.noise_babble, config.noise_recorded)
            samples = mix(samples, sound, rng.uniform(*config.noise_snr_db))
        if response < config.response:
            samples = filtered(samples, self._random_response(rng), FILTER_TAPS // 2)
        if clip < config.clip:
            samples = clipped(samples, rng.uniform(*config.clip_db))
        if gain < config.gain:
            samples = samples * np.float32(10 ** (rng.uniform(*config.gain_db) / 20))
        if telephone < config.telephone:
            samples = by_telephone(samples)
        elif codec < config.codec:
            samples = by_codec(samples, "Opus" if rng.random() < config.codec_opus else "MP3", rng.random())
        return np.clip(samples, -1.0, 1.0)

    def _strength(self, passes: float) -> float:
        """Share of each probability that counts, above 0 and at most 1."""
        ramp = self.config.ramp_passes
        return 1.0 if passes >= ramp else max(passes, 0.5) / max(ramp, 1.0)

    def empty(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        """float32 (n,): a stretch without speech, noise at a random level, sometimes digital silence."""
        if self.noise is None or rng.random() < 0.1:
            return np.zeros(num_samples, np.float32)
        sound = self.noise.draw(rng, num_samples, 0.0, self.config.noise_recorded)
        return np.clip(sound * np.float32(10 ** (rng.uniform(*EMPTY_LEVEL_DB) / 20)), -1.0, 1.0)

    def _random_response(self, rng: np.random.Generator) -> np.ndarray:
        config = self.config
        corners_db = rng.uniform(-config.response_db, config.response_db, 6)
        low_pass_hz = rng.uniform(*config.low_pass_hz) if rng.random() < config.low_pass else RATE_HZ
        return response_filter(np.geomspace(100.0, 8000.0, 6), corners_db, low_pass_hz)


def speech_power(samples: np.ndarray) -> float:
    """Mean square of the speech in (n,) samples, pauses left out; 0.0 for silence."""
    whole = len(samples) // LEVEL_WINDOW
    if whole == 0:
        return float(np.dot(samples, samples)) / max(len(samples), 1)
    windows = samples[: whole * LEVEL_WINDOW].reshape(whole, LEVEL_WINDOW)
    powers = np.einsum("ij,ij->i", windows, windows) / LEVEL_WINDOW          # (whole,)
    return float(powers[powers >= powers.max() * 10 ** (-PAUSE_DB / 10)].mean())


def mix(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """float32 (n,): speech plus noise, `snr_db` between the power of the speech without pauses and that of the noise."""
    noise_power = float(np.dot(noise, noise)) / len(noise)
    if noise_power == 0.0:
        return speech
    scale = np.sqrt(speech_power(speech) / noise_power * 10 ** (-snr_db / 10))
    return speech + noise * np.float32(scale)


def through_room(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """float32 (n,): the samples as heard in the room of `response` (rooms.py), as loud and at the same time as before."""
    heard = filtered(samples, response, LEAD_SAMPLES)
    before, after = np.dot(samples, samples), np.dot(heard, heard)
    if after > 0.0:
        heard *= np.float32(np.sqrt(before / after))
    return heard


def filtered(samples: np.ndarray, response: np.ndarray, lead: int) -> np.ndarray:
    """float32 (n,): the convolution with `response` (m,), whose sample `lead` is time zero."""
    size = scipy.fft.next_fast_len(len(samples) + len(response) - 1, real=True)
    spectrum = scipy.fft.rfft(samples, size)
    spectrum *= scipy.fft.rfft(response, size)
    return scipy.fft.irfft(spectrum, size)[lead:lead + len(samples)]


def response_filter(corners_hz: np.ndarray, corners_db: np.ndarray, low_pass_hz: float, high_pass_hz: float = 0.0) -> np.ndarray:
    """float32 (FILTER_TAPS,): zero-phase filter through the given gains, with 24 dB an octave outside the pass band."""
    frequencies_hz = np.fft.rfftfreq(FILTER_TAPS, 1.0 / RATE_HZ)
    frequencies_hz[0] = 1.0
    curve_db = np.interp(np.log(frequencies_hz), np.log(corners_hz), corners_db)
    curve_db -= 24 * np.maximum(np.log2(frequencies_hz / low_pass_hz), 0.0)
    if high_pass_hz:
        curve_db -= 24 * np.maximum(np.log2(high_pass_hz / frequencies_hz), 0.0)
    response = np.roll(np.fft.irfft(10 ** (curve_db / 20), FILTER_TAPS), FILTER_TAPS // 2)
    return (response * np.hanning(FILTER_TAPS + 1)[:FILTER_TAPS]).astype(np.float32)


def clipped(samples: np.ndarray, over_db: float) -> np.ndarray:
    """float32 (n,): the samples driven until their peak is `over_db` over full scale, and cut there."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak == 0.0:
        return samples
    return np.clip(samples * np.float32(10 ** (over_db / 20) / peak), -1.0, 1.0)


def by_telephone(samples: np.ndarray) -> np.ndarray:
    """float32 (n,): as after a telephone line: 300 to 3400 Hz, 8 kHz, 8-bit mu-law (ITU-T G.711)."""
    band = filtered(np.clip(samples, -1.0, 1.0), _TELEPHONE_BAND, FILTER_TAPS // 2)
    line = soxr.resample(band, RATE_HZ, LINE_HZ, quality="LQ")
    levels = np.clip(np.rint(line * 32767), -32767, 32767).astype(np.int32) + 32767
    heard = soxr.resample(_MU_LAW[levels], LINE_HZ, RATE_HZ, quality="LQ")
    return _fit(heard, len(samples))


def by_codec(samples: np.ndarray, name: str, strength: float) -> np.ndarray:
    """float32 (n,): the samples written in a lossy format of CODECS and read back; strength 0 is its highest rate, 1 its lowest."""
    file = io.BytesIO()
    kind, (low, high) = CODECS[name]
    soundfile.write(file, np.clip(samples, -1.0, 1.0), RATE_HZ, compression_level=low + strength * (high - low), **kind)
    file.seek(0)
    return _fit(soundfile.read(file, dtype="float32")[0], len(samples))


def _fit(samples: np.ndarray, num_samples: int) -> np.ndarray:
    return samples[:num_samples] if len(samples) >= num_samples else np.pad(samples, (0, num_samples - len(samples)))


def _mu_law_table() -> np.ndarray:
    """float32 (65535,): what each 16-bit level is after 8-bit mu-law and back."""
    levels = np.arange(-32767, 32768) / 32767
    compressed = np.sign(levels) * np.log1p(255 * np.abs(levels)) / np.log(256)
    compressed = np.rint(compressed * 127) / 127
    return (np.sign(compressed) * (256 ** np.abs(compressed) - 1) / 255).astype(np.float32)


_MU_LAW = _mu_law_table()
_TELEPHONE_BAND = response_filter(np.array([100.0, 8000.0]), np.zeros(2), low_pass_hz=3400.0, high_pass_hz=300.0)
