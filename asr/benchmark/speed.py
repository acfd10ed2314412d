"""Speed on one core, and the delay between the end of speech and its final text.

Times are processor time of the whole process, all its threads together: on a core that nothing else uses that is the time on the
clock, and what other programs take does not count. Reading and decoding of files is left out. All is done REPEATS times, and the least
time of each utterance counts, as timeit has it: a virtual machine's core can be a third slower for seconds (0.028 to 0.043 x real time
were seen for the same work within minutes), and no core is ever quicker than it is.

Delay: an utterance arrives as a microphone brings it, and the recogniser always takes all that waits (clock.py). The delay is from the
arrival of the last sample to the final text. So it holds all the work that was still to do, and what a slow recogniser had fallen
behind; a pause that an endpointer waits for is not in it. Utterances of up to LATENCY_S count.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from asr.benchmark.clock import heard_live
from asr.benchmark.sets import read_samples
from asr.benchmark.workers import peak_memory_mb
from asr.config import RATE_HZ
from asr.metrics import percentile

if TYPE_CHECKING:
    from asr.training.manifests import Utterance

FEED_S = 0.32
LATENCY_S = 10.0
REPEATS = 3


@dataclass(frozen=True)
class Figure:
    """One figure of a system, in the unit of rows.METRICS."""

    metric: str
    precision: str
    mode: str
    value: float


def measure_speed(load: Callable, utterances: "Sequence[Utterance]") -> list[Figure]:
    """Real-time factors and delays of what `load() -> system` loads (systems/__init__.py says what a system is).

    Run it in a process of its own (workers.run_alone): it counts all that its process does.
    """
    system = load()
    audio = [read_samples(utterance) for utterance in utterances]
    total_s = sum(map(len, audio)) / RATE_HZ
    recognise_in_blocks(system, audio[0], FEED_S)                                   # what is made on first use is made here
    system.transcribe(audio[0])
    files_s = sum(least(partial(cost_s, system.transcribe, samples)) for samples in audio)
    figures = [Figure("rtf_file", system.precision, system.mode, files_s / total_s)]
    if system.streams:
        stream_s = sum(least(partial(cost_s, recognise_in_blocks, system, samples, FEED_S)) for samples in audio)
        figures.append(Figure("rtf_stream", system.precision, system.stream_mode, stream_s / total_s))
    short = [samples for samples in audio if len(samples) <= LATENCY_S * RATE_HZ]
    delays_s = [least(lambda heard=samples: final_delay_s(system.start(), heard)) for samples in short]
    for percent in (50, 95) if delays_s else ():
        delay_ms = 1000 * percentile(delays_s, percent)
        figures.append(Figure(f"final_latency_p{percent}", system.precision, system.stream_mode, delay_ms))
    return figures


def measure_start(load: Callable, utterance: "Utterance") -> list[Figure]:
    """Processor time from the start of this process to a loaded system, and peak memory after one utterance was fed to it.

    For a process of its own, as measure_speed is.
    """
    system = load()
    startup_s = time.process_time()
    recognise_in_blocks(system, read_samples(utterance), FEED_S)
    figures = {"startup": startup_s, "peak_memory": peak_memory_mb()}
    return [Figure(metric, system.precision, system.stream_mode, value) for metric, value in figures.items() if value is not None]


def least(measure: Callable[[], float]) -> float:
    """What is measured, at its least."""
    return min(measure() for _ in range(REPEATS))


def cost_s(function: Callable, *arguments) -> float:
    """Processor time of a call."""
    start_s = time.process_time()
    function(*arguments)
    return time.process_time() - start_s


def recognise_in_blocks(system, samples: np.ndarray, block_s: float) -> str:
    """The text of samples (n,) fed to a new stream in blocks."""
    stream = system.start()
    size = round(block_s * RATE_HZ)
    for start in range(0, len(samples), size):
        stream.feed(samples[start:start + size])
    return stream.finish()


def final_delay_s(stream, samples: np.ndarray, cost: Callable[..., float] = cost_s) -> float:
    """From the arrival of the last of samples (n,) to the stream's final text, on the simulated clock.

    `cost(function, *arguments)` calls the function and says how long it took, in seconds.
    """
    fed_s = max((now_s for _, now_s in heard_live(samples, lambda part: cost(stream.feed, part))), default=0.0)
    return fed_s + cost(stream.finish) - len(samples) / RATE_HZ
