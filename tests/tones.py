"""A language of tones, with models that hear it perfectly: what streaming adds, loses or shifts shows as wrong words or times.

Each word is a tone of its own. The acoustic model says in each frame which tone sounds, the decoder makes a word of each run.
"""

from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace

import numpy as np

from asr.client.acoustic import Acoustic
from asr.client.models import Models
from asr.config import FRAME_S, FRAME_SAMPLES, RATE_HZ, num_frames
from asr.decoding.emission import Emission
from asr.decoding.hypothesis import Hypothesis, Word

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PITCHES_HZ = 500 + 250 * np.arange(len(WORDS))               # each a whole number of periods in a frame
UNITS = ("<blank>", *WORDS, "|")
TONES = np.exp(-2j * np.pi * PITCHES_HZ[:, None] * np.arange(FRAME_SAMPLES) / RATE_HZ) / FRAME_SAMPLES      # (words, samples)


def tone(word: str, seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """The sound of a word, (n,) float32."""
    pitch_hz = PITCHES_HZ[WORDS.index(word)]
    return (0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def recording(spoken: Sequence[tuple[str, float, float]], seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Words with start and end in seconds, silence elsewhere -> (n,) float32."""
    samples = np.zeros(round(seconds * rate_hz), np.float32)
    for word, start_s, end_s in spoken:
        start = round(start_s * rate_hz)
        sound = tone(word, end_s - start_s, rate_hz)
        samples[start:start + len(sound)] = sound
    return samples


class ToneAcoustic(Acoustic):
    """Hears which tone sounds in a frame. Counts the samples that it was given, to tell what work was done."""

    def __init__(self):
        self.bundle = SimpleNamespace(name="tones", phones=UNITS, pieces=UNITS)
        self.samples_run = 0

    def initial_state(self):
        """No frame depends on another."""
        return ()

    def run(self, samples, state, keep):
        """As Acoustic.run."""
        self.samples_run += len(samples)
        frames = num_frames(len(samples))
        assert 1 <= keep <= frames
        loudness = 2 * np.abs(samples[:frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES) @ TONES.T)      # (T, words)
        scores = np.full((frames, len(UNITS)), -20, np.float32)
        loudest = np.where(loudness.max(axis=1) > 0.2, 1 + loudness.argmax(axis=1), 0)
        scores[np.arange(frames), loudest] = -1e-6
        return Emission(scores, scores), state


class ToneDecoder:
    """A word for each run of a tone's frames."""

    def start(self, offset_s: float = 0.0) -> "ToneStream":
        """A stream whose first frame is at `offset_s`."""
        return ToneStream(offset_s)

    def decode(self, emission: Emission, offset_s: float = 0.0, shown=()) -> Hypothesis:
        """The words of a whole emission."""
        stream = self.start(offset_s)
        stream.step(emission)
        return stream.finish()


class ToneStream:
    """As the streams of the real decoders."""

    def __init__(self, offset_s: float):
        self._offset_s, self._units = offset_s, []

    def step(self, emission: Emission):
        """Take in T frames."""
        self._units += emission.phones.argmax(axis=1).tolist()

    def best(self) -> Hypothesis:
        """The words so far."""
        edges = [0, *(at for at in range(1, len(self._units)) if self._units[at] != self._units[at - 1]), len(self._units)]
        return Hypothesis(tuple(Word(UNITS[self._units[first]], self._offset_s + first * FRAME_S, self._offset_s + last * FRAME_S, 1.0)
                                for first, last in pairwise(edges) if last > first and self._units[first]))

    def finish(self) -> Hypothesis:
        """The words."""
        return self.best()


def tone_models() -> Models:
    """Models that understand tones."""
    return Models(ToneAcoustic(), ToneDecoder())
