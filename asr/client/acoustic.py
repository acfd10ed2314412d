"""The acoustic model as the client runs it: samples in, log-probabilities of phones and pieces (an Emission) out, 25 frames a second.

`Acoustic` holds the model, is loaded once and never changes; any number of AcousticStream objects use it at once, from any thread. A
stream owns its state. The time arithmetic is asr.config's: a block of `chunk + right` frames is run as soon as its samples are there, its
first `chunk` frames count, and the samples of its right context are fed again with the next block.
"""

import contextlib
import json
import math
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from asr.bundle import Bundle
from asr.cache import cache_folder
from asr.config import FRAME_SAMPLES, HISTORY_SAMPLES, LATENCIES, Latency, block_samples
from asr.decoding.emission import Emission
from asr.files import write_whole
from asr.inference import open_session

FILES = {"int8": "acoustic.int8.onnx", "float": "acoustic.onnx"}
_OUTPUTS = ["phones", "pieces", "next_history", "next_hidden"]
_CLEARLY = 0.9                       # float32 is taken where it needs less than this share of int8's time: int8 needs less memory


@dataclass(frozen=True)
class State:
    """What a stream remembers between blocks: history (1, 480), the samples before; hidden (layers, 1, H), the forward states. float32."""

    history: np.ndarray
    hidden: np.ndarray


class Acoustic:
    """The acoustic model of a bundle.

    precision 'int8', 'float', or 'auto': the quicker of the two on this machine, measured once (about 50 ms) and remembered.
    Raises BundleError where the bundle has no such file or ONNX Runtime cannot load it.
    """

    def __init__(self, bundle: Bundle, precision: str = "auto", threads: int = 1):
        if precision not in ("auto", *FILES):
            raise ValueError(f"precision is {precision!r}; it can be 'auto', 'int8' or 'float'")
        self.bundle = bundle
        self.precision = _quicker(bundle, threads) if precision == "auto" else precision
        self._session = open_session(bundle.path(FILES[self.precision]), threads)

    def initial_state(self) -> State:
        """The state before the first sample: silence."""
        return _initial_state(self.bundle)

    def run(self, samples: np.ndarray, state: State, keep: int) -> tuple[Emission, State]:
        """Run one block: samples (n,) float32 in [-1, 1], finite -> its num_frames(n) frames, and the state `keep` frames further on.

        n is at least 880 (one frame) and 1 <= keep <= num_frames(n). NaN or infinite samples give NaN from there on: whoever reads audio
        refuses them.
        """
        return _run(self._session, samples, state, keep)

    def whole(self, samples: np.ndarray) -> Emission:
        """Run samples (n,) as one block, full context for every frame. Time and memory grow with n (about 1 MB a second)."""
        samples, frames = padded(samples)
        if not frames:
            return self.no_frames()
        return self.run(samples, self.initial_state(), keep=frames)[0]

    def no_frames(self) -> Emission:
        """An emission of no frames."""
        return Emission(np.empty((0, len(self.bundle.phones)), np.float32), np.empty((0, len(self.bundle.pieces)), np.float32))


class AcousticStream:
    """Feed samples of any number, get emissions as their blocks fill; `flush` gives the rest and leaves the stream as new.

    Blocks lie where they lie however the samples come, so feeding them one by one or all at once gives the same bits.
    """

    def __init__(self, acoustic: Acoustic, latency: Latency):
        self._acoustic = acoustic
        self._latency = latency
        self._block = block_samples(latency.block)           # samples of a block
        self._restart()

    @property
    def look_ahead(self) -> Emission | None:
        """The frames after the last emission, from its right context alone: provisional, the next block gives them again and better."""
        return self._look_ahead

    def feed(self, samples: np.ndarray) -> list[Emission]:
        """samples (n,) float32 -> the emissions, `chunk` frames each, of all blocks that they complete."""
        samples = np.asarray(samples, np.float32)
        ready, start = [], 0
        while start < len(samples):
            piece = samples[start:start + self._block - self._filled].copy()            # the caller may use its array again
            self._waiting.append(piece)
            self._filled += len(piece)
            start += len(piece)
            if self._filled == self._block:
                ready.append(self._step())
        return ready

    def flush(self) -> Emission:
        """The frames of all samples not yet emitted and one more, silence taken to follow; then the stream is as new."""
        samples, frames = padded(np.concatenate([np.empty(0, np.float32), *self._waiting]))
        tail = self._acoustic.run(samples, self._state, keep=frames)[0] if frames else self._acoustic.no_frames()
        self._restart()
        return tail

    def _restart(self) -> None:
        self._state = self._acoustic.initial_state()
        self._waiting: list[np.ndarray] = []
        self._filled = 0                                     # samples in them
        self._look_ahead: Emission | None = None

    def _step(self) -> Emission:
        chunk, samples = self._latency.chunk, np.concatenate(self._waiting)
        emission, self._state = self._acoustic.run(samples, self._state, keep=chunk)
        self._look_ahead = emission[chunk:] if self._latency.right else None
        self._waiting = [samples[chunk * FRAME_SAMPLES:]]
        self._filled = len(self._waiting[0])
        return emission[:chunk]


def padded(samples: np.ndarray) -> tuple[np.ndarray, int]:
    """Samples (n,) with zeros after them, so that the last block covers each sample and one frame more -> (m,), and its frames."""
    frames = math.ceil(len(samples) / FRAME_SAMPLES) + 1 if len(samples) else 0
    return np.pad(np.asarray(samples, np.float32), (0, max(0, block_samples(frames) - len(samples)))), frames


def _initial_state(bundle: Bundle) -> State:
    return State(np.zeros((1, HISTORY_SAMPLES), np.float32), np.zeros((bundle.model.layers, 1, bundle.model.hidden), np.float32))


def _run(session: onnxruntime.InferenceSession, samples: np.ndarray, state: State, keep: int) -> tuple[Emission, State]:
    inputs = {"samples": samples[None], "history": state.history, "hidden": state.hidden, "keep": np.array(keep, np.int64)}
    phones, pieces, history, hidden = session.run(_OUTPUTS, inputs)
    return Emission(phones[0], pieces[0]), State(history, hidden)


def _quicker(bundle: Bundle, threads: int) -> str:
    """'float' where it is clearly quicker than int8 on this CPU, else 'int8' (or the only one that there is); remembered in the cache."""
    held = [precision for precision, name in FILES.items() if bundle.has(name)]
    if len(held) == 1:
        return held[0]
    key = f"{bundle.identity[:16]} onnxruntime {onnxruntime.__version__} threads {threads} {_cpu()}"
    path = cache_folder() / "precision.json"
    known = {}
    with contextlib.suppress(OSError, ValueError, TypeError):
        known = dict(json.loads(path.read_text(encoding="utf-8")))
    if known.get(key) not in FILES:
        times = _times(bundle, threads)
        known = {**dict(list(known.items())[-50:]), key: "float" if times["float"] < _CLEARLY * times["int8"] else "int8"}
        with contextlib.suppress(OSError):                   # measured again next time, nothing worse
            write_whole(path, json.dumps(known, indent=0))
    return known[key]


def _times(bundle: Bundle, threads: int) -> dict[str, float]:
    """Seconds that one block of 320 ms chunks takes in each precision: the best of five, taken in turn."""
    latency = LATENCIES[320]
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, block_samples(latency.block)).astype(np.float32)
    sessions = {precision: open_session(bundle.path(name), threads) for precision, name in FILES.items()}
    best = dict.fromkeys(FILES, math.inf)
    for _ in range(5):
        for precision, session in sessions.items():
            start = time.perf_counter()
            _run(session, samples, _initial_state(bundle), latency.chunk)
            best[precision] = min(best[precision], time.perf_counter() - start)
    return best


def _cpu() -> str:
    """The CPU's model and the instructions that int8 products profit from."""
    model = ""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
            if line.startswith("flags"):
                return f"{model} {' '.join(sorted(set(line.split()) & {'avx2', 'avx_vnni', 'avx512_vnni', 'amx_int8'}))}"
    return f"{platform.machine()} {platform.processor()}"
