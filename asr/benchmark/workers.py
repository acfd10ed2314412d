"""Utterances to texts, in one or several processes, and one measurement alone on one core.

Whatever recognises is loaded inside the process that uses it, from a picklable `load` without arguments, so that native libraries
of several systems never meet and a process's memory is that of one system.
"""

import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from asr.benchmark.noisy import Noisy
from asr.benchmark.sets import read_samples
from asr.processes import worker_pool

if TYPE_CHECKING:
    from asr.training.manifests import Utterance

Condition = tuple[str, str]                          # precision, mode
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def recognise(load: Callable, utterances: "Sequence[Utterance | Noisy]", jobs: int = 1,
              advance: Callable[[], None] = lambda: None) -> dict[Condition, list[str]]:
    """The texts of all utterances, in their order, under each condition.

    `load() -> recogniser`, with `recogniser.texts(samples (n,)) -> {condition: text}`; `advance()` is called for each utterance
    done. Raises what the recogniser raises, and DataError for audio that cannot be decoded.
    """
    found = defaultdict(list)
    for texts in _texts(load, utterances, jobs):
        for condition, text in texts.items():
            found[condition].append(text)
        advance()
    return dict(found)


def run_alone(function: Callable, *arguments):
    """The result of `function(*arguments)` in a fresh process that has one core for all its threads."""
    with _pool(1, one_core=True) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory_mb(process: int | str = "self") -> float | None:
    """Peak resident memory of a process, None where the system does not tell (other than Linux) or the process has ended."""
    return _memory_mb(process, "VmHWM:")


def memory_mb(process: int | str = "self") -> float | None:
    """Its resident memory now, None as before."""
    return _memory_mb(process, "VmRSS:")


def _memory_mb(process: int | str, name: str) -> float | None:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name)), None)


_worker = {}                                         # of a worker process: its recogniser, loaded once


def _texts(load: Callable, utterances: "Sequence[Utterance | Noisy]", jobs: int) -> Iterator[dict[Condition, str]]:
    if jobs == 1:
        recogniser = load()
        for utterance in utterances:
            yield recogniser.texts(_samples(utterance))
        return
    with _pool(jobs) as pool:
        yield from pool.map(partial(_texts_in_worker, load), utterances)


def _pool(jobs: int, one_core: bool = False) -> ProcessPoolExecutor:
    return worker_pool(jobs, prepare, one_core)


def prepare(one_core: bool = False) -> None:
    """Sets up a process that measures, before anything is loaded in it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)     # Ctrl-C reaches all processes: this one just ends, the first one tells
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))
    if one_core and hasattr(os, "sched_setaffinity"):          # a library that starts more threads gains nothing by them
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _texts_in_worker(load: Callable, utterance: "Utterance | Noisy") -> dict[Condition, str]:
    if "recogniser" not in _worker:                  # not when the process starts: there, an error would break the pool
        _worker["recogniser"] = load()
    return _worker["recogniser"].texts(_samples(utterance))


def _samples(utterance: "Utterance | Noisy"):
    return utterance.samples() if isinstance(utterance, Noisy) else read_samples(utterance)
