"""Will this machine keep up, and does the microphone hear? What `asr check` measures, and what it makes of it in plain words.

The clip beside this file (6.6 s of Common Voice, CC0) goes through the same streams as a microphone's sound, once for each chunk
length; what counts is processor time, so other programs do not spoil the figures.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.audio import open_audio
from asr.client.captions import Final
from asr.client.models import Models
from asr.client.recognizer import Recognizer, StreamingRecognizer
from asr.config import LATENCIES, RATE_HZ

CLIP = Path(__file__).with_name("clip.opus")
BUSY = 0.5                           # of a core: more leaves nothing for other programs and slower moments
STEP_S = 0.1                         # levels are of stretches this long
SILENT_DBFS, QUIET_DBFS, NEAR_DB, CLIPPED = -75.0, -42.0, 12.0, 0.001


@dataclass(frozen=True)
class Cost:
    """What live captions at a chunk length take of one core, and how late they come."""

    chunk_ms: int
    share: float                     # of a core, while somebody speaks
    shown_s: float                   # from a sound to the caption that can hold it, computing included, at most


@dataclass(frozen=True)
class Levels:
    """Of a stretch of sound, in dB of full scale (0 = the loudest possible)."""

    speech_dbfs: float               # the loudest tenth of it
    floor_dbfs: float                # the quietest tenth
    clipped: float                   # part of the samples that are at full scale


def clip() -> np.ndarray:
    """(n,) float32, 16 kHz."""
    with open_audio(CLIP) as audio:
        return np.concatenate(list(audio))


def file_factor(models: Models, samples: np.ndarray) -> float:
    """Seconds of one core for a second of a recording."""
    recognizer = Recognizer(models=models)
    recognizer.transcribe(samples)                           # what is made on first use is made here
    return cost_s(lambda: recognizer.transcribe(samples)) / (len(samples) / RATE_HZ)


def live_cost(models: Models, samples: np.ndarray, chunk_ms: int) -> Cost:
    """Stream `samples` (n,) at 16 kHz."""
    stream, step, steps_s = StreamingRecognizer(chunk_ms=chunk_ms, models=models), round(chunk_ms * RATE_HZ / 1000), []
    for start in range(0, len(samples), step):
        steps_s.append(cost_s(lambda part=samples[start:start + step]: stream.feed(part)))
    return Cost(chunk_ms, sum(steps_s) / (len(samples) / RATE_HZ), LATENCIES[chunk_ms].delay_s + max(steps_s))


def all_costs(models: Models, samples: np.ndarray) -> list[Cost]:
    """Of every chunk length, the shortest first."""
    return [live_cost(models, samples, chunk_ms) for chunk_ms in sorted(LATENCIES)]


def cost_s(function: Callable[[], object]) -> float:
    """Processor time of a call."""
    started_s = time.process_time()
    function()
    return time.process_time() - started_s


def chosen(costs: list[Cost], default_ms: int = 320) -> Cost | None:
    """The default chunk length where it keeps up, else the shortest longer one that does; None where none does."""
    return next((cost for cost in costs if cost.chunk_ms >= default_ms and cost.share <= BUSY), None)


def levels(samples: np.ndarray, rate_hz: float) -> Levels:
    """Of (n,) float32, at least STEP_S long."""
    step = round(STEP_S * rate_hz)
    stretches = samples[:len(samples) // step * step].reshape(-1, step)                 # (stretches, step)
    dbfs = 10 * np.log10(np.maximum((stretches.astype(np.float64) ** 2).mean(1), 1e-12))
    return Levels(float(np.percentile(dbfs, 90)), float(np.percentile(dbfs, 10)), float((np.abs(samples) >= 0.999).mean()))


def advice(heard: Levels) -> str:
    """What to do about a microphone's levels; measured while its user spoke."""
    if heard.speech_dbfs < SILENT_DBFS:
        return "it delivers silence: is it muted, or another one meant? asr live --list-devices"
    if heard.clipped > CLIPPED:
        return "too loud: turn it down, or speak from further away"
    if heard.speech_dbfs - heard.floor_dbfs < NEAR_DB:
        return "hardly louder than what is around it: speak during the test; if you did, come nearer or find a quieter place"
    if heard.speech_dbfs < QUIET_DBFS:
        return "quiet: turn it up or come nearer"
    return "good"


def words_of(models: Models, samples: np.ndarray, rate_hz: float) -> str:
    """What is heard in (n,) float32."""
    stream = StreamingRecognizer(models=models, sample_rate=rate_hz)
    return " ".join(caption.text for caption in stream.feed(samples) + stream.flush() if isinstance(caption, Final))
