"""Emissions made from text, as a CTC model would give them: peaks among blanks, noise, and phones taken for one another."""

import numpy as np

from asr.decoding.emission import Emission
from asr.units import PHONES

PIECES = ("<blank>", *(f"▁{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"), *"abcdefghijklmnopqrstuvwxyz'")


def speak(
    words: list[tuple[str, str]],
    seed: int = 0,
    confusion: float = 0.0,
    noise: float = 0.5,
    strength: float = 8.0,
    silence_frames: int = 4,
) -> Emission:
    """Emission of `words`, each (spelling, phones with spaces between), with `silence_frames` before and after.

    Units last one frame or two and have up to two blanks after them, about 12 units a second. With chance `confusion` another phone
    gets the higher peak.
    """
    random = np.random.default_rng(seed)
    phone_frames, piece_frames = [0] * silence_frames, [0] * silence_frames
    for spelling, phones in words:
        start = len(phone_frames)
        for phone in (*phones.split(), "|"):
            unit = PHONES.index(phone)
            if phone_frames[-1] == unit:                     # CTC needs a blank between equal units
                phone_frames.append(0)
            phone_frames += [unit] * random.integers(1, 3) + [0] * random.integers(0, 3)
        room = len(phone_frames) - start
        units = [PIECES.index("▁" + spelling[0]), *(PIECES.index(letter) for letter in spelling[1:])]
        spread: list[int] = []
        for unit in units:
            spread += [0, unit] if spread and spread[-1] == unit else [unit]
        extra = max(0, len(spread) - room + 1)               # letters need their frames too
        phone_frames += [0] * extra
        piece_frames += spread + [0] * (room + extra - len(spread))
    phone_frames += [0] * silence_frames
    piece_frames += [0] * silence_frames
    phones = _log_probs(np.array(phone_frames), len(PHONES), random, noise, strength, confusion)
    return Emission(phones, _log_probs(np.array(piece_frames), len(PIECES), random, noise, strength, 0.0))


def _log_probs(frames: np.ndarray, units: int, random: np.random.Generator, noise: float, strength: float, confusion: float) -> np.ndarray:
    """Frame labels (T,) -> (T, units) float32 log-probabilities."""
    logits = random.normal(0.0, noise, (len(frames), units))
    rows = np.arange(len(frames))
    logits[rows, frames] += strength
    wrong = rows[(frames > 0) & (frames < units - 1) & (random.random(len(frames)) < confusion)]
    logits[wrong, random.integers(1, units - 1, len(wrong))] += strength + random.normal(0.5, 1.0, len(wrong))
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)
