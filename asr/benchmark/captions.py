"""How steady live captions are, and how soon their words are seen: recordings joined into one session, heard as it would be live.

Sound arrives on a simulated clock (clock.py), and every caption counts from the moment its step ends.

    flicker       words changed after they were shown, per final word (metrics.flicker)
    withdrawn     of these, words that were taken back without another in their place
    first_shown   from the end of a word of a final to the caption that first shows it
    endpoint      from the sound that ends an utterance's pause to its final: the work that is left to do then
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from asr.benchmark.clock import heard_live
from asr.benchmark.sets import read_samples
from asr.benchmark.speed import Figure, cost_s
from asr.client.captions import Final, Partial
from asr.config import RATE_HZ
from asr.decoding.hypothesis import Word
from asr.metrics import Flicker, flicker, percentile

if TYPE_CHECKING:
    from asr.training.manifests import Utterance

PAUSE_S = 1.5                        # between the recordings: each is an utterance of its own
NEAR_S = 0.4                         # as far apart may two passes put the same word


@dataclass(frozen=True)
class Seen:
    """A caption, when the sound that brought it was there, and when it was shown, in seconds from the start of the sound."""

    heard_s: float
    shown_s: float
    caption: Partial | Final


def measure_captions(load: Callable, utterances: "Sequence[Utterance]") -> list[Figure]:
    """Figures of the stream that `load() -> system` makes, for a process of its own, as measure_speed."""
    system = load()
    pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    session = np.concatenate([part for utterance in utterances for part in (read_samples(utterance), pause)])
    seen = watch(system.captions(), session)
    changes, waits_s = steadiness(seen)
    ends_s = [one.shown_s - one.heard_s for one in seen if isinstance(one.caption, Final) and one.caption.reason not in ("end", "longest")]
    figures = {"flicker": changes.per_word, "withdrawn": changes.withdrawn / max(1, changes.final)}
    if waits_s:
        figures["first_shown_p50"] = 1000 * percentile(waits_s, 50)
    if ends_s:
        figures |= {f"endpoint_latency_p{percent}": 1000 * percentile(ends_s, percent) for percent in (50, 95)}
    return [Figure(metric, system.precision, system.stream_mode, value) for metric, value in figures.items()]


def watch(stream, samples: np.ndarray, cost: Callable[..., float] = cost_s) -> list[Seen]:
    """The captions of samples (n,) and when each is shown. `stream.feed(samples)` and `stream.flush()` give captions."""
    fed, now_s, seen = 0, 0.0, []
    brought: list[Partial | Final] = []                      # by the step that is being taken
    for fed, now_s in heard_live(samples, lambda part: cost(lambda: brought.extend(stream.feed(part)))):
        seen += [Seen(fed / RATE_HZ, now_s, caption) for caption in brought]
        brought.clear()
    return seen + [Seen(fed / RATE_HZ, now_s, caption) for caption in stream.flush()]


def steadiness(captions: Sequence[Seen]) -> tuple[Flicker, list[float]]:
    """Over the utterances of a session: what changed, and for each word of a final how long it took until it was first seen."""
    changes, waits_s, shown = Flicker(), [], []
    for seen in captions:
        shown.append(seen)
        if isinstance(seen.caption, Final):
            changes += flicker([one.caption.text for one in shown])
            waits_s += [next(one.shown_s for one in shown if has(one.caption.words, word)) - word.end_s for word in seen.caption.words]
            shown = []
    return changes, waits_s


def has(words: Sequence[Word], wanted: Word) -> bool:
    """Whether `wanted` is among the words, at its time or a little off it."""
    return any(word.text == wanted.text and abs(word.end_s - wanted.end_s) <= NEAR_S for word in words)
