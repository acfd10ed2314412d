"""Where a word's phones lie in its frames, and how well they explain them: a Viterbi alignment of one word."""

from dataclasses import dataclass

import numpy as np

from asr.units import BLANK_ID


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """A word of the lexicon on its frames, before anything is made of it."""

    text: str
    first_frame: int                 # frame of its first phone
    end_frame: int                   # frame after that of its last phone
    evidence: float                  # mean over its phones of the log-odds of each at its best frame
    gap: float                       # nats a frame that free phones, without lexicon, would score better


def align(phones: np.ndarray, units: list[int], word_end: int) -> tuple[np.ndarray, float]:
    """Best CTC alignment of `units` to all of `phones` (T, P) log-probabilities -> unit number of each frame (T,), and the path's score.

    The number is -1 before the first unit, where blanks and word ends are free, else 0, 1, ... for a frame that emits that unit and
    -1 for a blank. More units than frames cannot be aligned: every frame is then -1 and the score -inf.
    """
    num_states = 1 + 2 * len(units)                          # before; then unit 0, the blank after it, unit 1, ...
    emitted = np.empty((len(phones), num_states))                                           # (T, S)
    emitted[:, 0] = np.maximum(phones[:, BLANK_ID], phones[:, word_end])
    emitted[:, 1::2] = phones[:, units]
    emitted[:, 2::2] = phones[:, BLANK_ID, None]
    skips = np.zeros(num_states, bool)                       # unit to unit, with no blank between, unless they are equal
    skips[3::2] = np.diff(units) != 0
    score = np.full(num_states, -np.inf)
    score[:2] = emitted[0, :2]
    came = np.zeros((len(phones), num_states), np.int8)      # how many states each came forward
    for t in range(1, len(phones)):
        ways = np.full((3, num_states), -np.inf)
        ways[0], ways[1, 1:] = score, score[:-1]
        ways[2, 2:] = np.where(skips[2:], score[:-2], -np.inf)
        came[t] = ways.argmax(0)
        score = ways.max(0) + emitted[t]
    state = num_states - 1 if score[-1] > score[-2] else num_states - 2
    total, path = float(score[state]), np.empty(len(phones), np.int64)
    for t in range(len(phones) - 1, -1, -1):
        path[t] = (state - 1) // 2 if state % 2 else -1
        state -= came[t, state]
    return (path, total) if total > -np.inf else (np.full(len(phones), -1), total)


def align_word(text: str, units: list[int], phones: np.ndarray, first_frame: int, word_end: int) -> AlignedWord:
    """Align a word to the frames (T, P) between the ends of the word before it and of its own. `first_frame` is the number of the first."""
    active = np.flatnonzero(phones[:, BLANK_ID] < -0.02)         # pauses before a word can be long; they hold nothing of it
    skip = int(min(active[0] if len(active) else 0, max(len(phones) - 2 * len(units), 0)))
    phones, first_frame = phones[skip:], first_frame + skip
    path, _ = align(phones, units, word_end) if len(phones) else (np.empty(0, np.int64), 0.0)
    on = np.flatnonzero(path >= 0)
    if not len(on):                                          # fewer frames than phones: no times to be had within
        return AlignedWord(text, first_frame, first_frame + max(1, len(phones)), -5.0, 5.0)
    emitted = np.array(units)[path[on]]
    odds = np.full(len(units), -np.inf)
    np.maximum.at(odds, path[on], log_odds(phones[on, emitted]))
    inside = slice(on[0], on[-1] + 1)
    labels = np.where(path[inside] >= 0, np.array(units)[path[inside]], BLANK_ID)
    gap = float((phones[inside].max(1) - phones[inside][np.arange(len(labels)), labels]).mean())
    return AlignedWord(text, first_frame + int(on[0]), first_frame + int(on[-1]) + 1, float(odds.mean()), gap)


def log_odds(log_probs: np.ndarray, limit: float = 6.0) -> np.ndarray:
    """log(p / (1 - p)), within [-limit, limit] so that one sure unit does not outweigh the others."""
    rest = np.log(np.maximum(-np.expm1(np.minimum(log_probs.astype(np.float64), 0.0)), 1e-12))
    return np.clip(log_probs - rest, -limit, limit)
