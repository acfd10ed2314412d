"""What `asr live` costs while nobody speaks: processor time of its whole process, all threads, as a share of one core.

Silence and the noise of a quiet room are played at real pace, as a file is without a microphone, through the worker and to lines in a
pipe. The start and the loading of models are not in it, nor is what the sound system itself needs.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from asr.benchmark.programme import NOISE_DBFS, noise
from asr.client.display import Display
from asr.client.playback import Playback
from asr.client.recognizer import StreamingRecognizer
from asr.client.requests import Stop
from asr.client.worker import Outputs, run
from asr.config import RATE_HZ

LEVELS_DBFS = {"silence": -np.inf, "noise": NOISE_DBFS}
CHUNK_MS = 320
SECONDS = 30.0


def idle_cpu(load: Callable, kind: str, seconds: float = SECONDS) -> float:
    """Percent of one core, listening to `kind` of LEVELS_DBFS with the models of `load()`. For a process of its own."""
    import soundfile

    samples = noise(np.random.default_rng(2), round(seconds * RATE_HZ), LEVELS_DBFS[kind])
    recognizer = StreamingRecognizer(chunk_ms=CHUNK_MS, models=load())
    recognizer.feed(samples[:RATE_HZ])                                              # what is made on first use is made here
    recognizer.flush()
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w", encoding="utf-8") as nowhere:
        path = Path(folder) / f"{kind}.wav"
        soundfile.write(path, samples, RATE_HZ, subtype="FLOAT")                    # -60 dBFS has 33 steps of 16 bits
        source = Playback(path)
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        run(source, recognizer, Outputs((Display(nowhere, nowhere),)), Stop())
        return 100 * (time.process_time() - start_cpu_s) / (time.perf_counter() - start_s)
