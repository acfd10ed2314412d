"""Utterances heard in noise of a chosen level, the same each time: babble of the set's other speakers, or pink noise.

The level is that of the speech without its pauses over that of the noise, as in training (augmentation.py).
"""

import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from asr.benchmark.sets import SpeechSet, read_samples

if TYPE_CHECKING:
    from asr.training.manifests import Utterance

NOISES = ("babble", "pink")
TALKERS = 6                          # of the babble: too many to be understood
SIGN = "@"                           # in a set's name, before its noise


@dataclass(frozen=True)
class Noisy:
    """An utterance in babble of `talkers`, or in pink noise where there are none."""

    speech: "Utterance"
    talkers: "tuple[Utterance, ...]"
    snr_db: float

    @property
    def id(self) -> str:
        """That of the utterance."""
        return self.speech.id

    @property
    def text(self) -> str:
        """What is said in it."""
        return self.speech.text

    def samples(self) -> np.ndarray:
        """(n,) float32, 16 kHz mono, as loud as before but where that would clip. Raises DataError as `read_samples` does."""
        from asr.training.augmentation import mix

        speech = read_samples(self.speech)
        rng = np.random.default_rng(zlib.crc32(self.speech.id.encode()))
        noise = _babble(self.talkers, len(speech), rng) if self.talkers else _pink(len(speech), rng)
        mixed = mix(speech, noise, self.snr_db)
        return mixed / max(1.0, float(np.abs(mixed).max(initial=0.0)))


def in_noise(speech_set: SpeechSet, noise: str, snr_db: float) -> SpeechSet:
    """The set with every utterance in a noise of NOISES, called `NAME@NOISE SNR dB`. Its talkers are spread over the set."""
    utterances = speech_set.utterances

    def talkers(place: int) -> tuple:
        if noise != "babble" or len(utterances) < 2:
            return ()
        steps = np.linspace(1, len(utterances) - 1, TALKERS).round().astype(int)
        return tuple(utterances[(place + step) % len(utterances)] for step in steps.tolist())

    noisy = tuple(Noisy(utterance, talkers(place), snr_db) for place, utterance in enumerate(utterances))
    return SpeechSet(f"{speech_set.name}{SIGN}{noise} {snr_db:g} dB", noisy)


def _babble(talkers: "tuple[Utterance, ...]", count: int, rng: np.random.Generator) -> np.ndarray:
    from asr.training.noise import unit_power

    voices = [np.roll(np.resize(unit_power(read_samples(talker)), count), rng.integers(max(1, count))) for talker in talkers]
    return np.sum(voices, axis=0, dtype=np.float32)


def _pink(count: int, rng: np.random.Generator) -> np.ndarray:
    noise = _pink_bank()
    return np.resize(np.roll(noise, -rng.integers(len(noise))), count)


@cache
def _pink_bank() -> np.ndarray:
    from asr.training.noise import COLOURS, coloured

    return coloured(np.random.default_rng(0), COLOURS["pink"])
