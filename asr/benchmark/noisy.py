"""Utterances heard in noise of a chosen level, the same each time: babble of other speakers of the set, or pink noise.

The level is that of the speech without its pauses over that of the noise, as in training (augmentation.py).
"""

import re
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from asr.benchmark.sets import SpeechSet, read_samples
from asr.errors import DataError

if TYPE_CHECKING:
    from asr.training.manifests import Utterance

NOISES = ("babble", "pink")
TALKERS = 6                          # of the babble: too many to be understood
IN_NOISE = re.compile(rf"(.+)@({'|'.join(NOISES)}) (\S+) dB")             # how a set in noise is called


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
    """The set with every utterance in a noise of NOISES, called `NAME@NOISE SNR dB`. Raises DataError where one speaker would babble alone.

    Talkers are spread over the utterances of other speakers.
    """
    def talkers(speech: "Utterance") -> tuple:
        others = [utterance for utterance in speech_set.utterances if utterance.speaker != speech.speaker]
        if not others:
            raise DataError(f"{speech_set.name}: nobody but {speech.speaker or 'one speaker'} to babble in it; take pink noise")
        return tuple(others[place] for place in np.linspace(0, len(others) - 1, TALKERS).round().astype(int).tolist())

    noisy = tuple(Noisy(speech, talkers(speech) if noise == "babble" else (), snr_db) for speech in speech_set.utterances)
    return SpeechSet(f"{speech_set.name}@{noise} {snr_db:g} dB", noisy)


def noise_of(name: str) -> tuple[str, str, float] | None:
    """Set, noise and SNR in dB of the name of a set in noise; None for another."""
    found = IN_NOISE.fullmatch(name)
    return (found[1], found[2], float(found[3])) if found else None


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
