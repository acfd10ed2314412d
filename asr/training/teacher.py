"""What a larger recogniser hears in the training speech, for a model to foresee beside its own targets.

The teacher is the encoder of Moonshine (MIT; 61 million parameters in its base size, trained on 200,000 hours): the states that its
last layer reads, each channel brought to mean 0 and variance 1 and kept as int8. A linear map of those states, trained on one hour of
speech by CTC, is wrong in 15 % of the phones of dev-libri, where a model of this project trained on 34 hours is in 20 %. Every utterance
is heard once, undistorted; what comes out lies in the cache beside its decoded audio, 60 MB an hour.

    npm pack @usefulsensors/moonshine-js@0.1.10 && tar xzf usefulsensors-moonshine-js-0.1.10.tgz package/dist/model/base
"""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asr.config import RATE_HZ, REDUCTION, SHIFT_SAMPLES, WINDOW_SAMPLES
from asr.errors import DataError, MissingExtraError
from asr.inference import open_session
from asr.training.audio_store import FULL_SCALE, AudioStore, DecodedSet
from asr.training.batches import Batch
from asr.training.parallel import in_order

ENCODER = "encoder_model.onnx"
COMMAND = "npm pack @usefulsensors/moonshine-js@0.1.10, and tar xzf what it brings, makes package/dist/model/base/quantized"
CONVOLUTIONS = ((127, 64), (7, 3), (3, 2))      # taps and stride of each, in time
STEP_SAMPLES = 384                   # from one state to the next: 24 ms
FIRST_SAMPLES = 63.5 + 64 * (3 + 3)  # centre of what the convolutions see for the first state
LONGEST_S = 30.0                     # its attention is trained no further; longer utterances have no states
LEVELS = 32                          # of int8, to one standard deviation
SAMPLED = 200                        # utterances that mean and deviation are taken from


class Encoder:
    """Moonshine's encoder up to what its last layer reads. Raises DataError, MissingExtraError."""

    def __init__(self, folder: Path):
        try:
            import onnx
        except ImportError:
            raise MissingExtraError("onnx", "export") from None
        path = folder / ENCODER
        try:
            content = path.read_bytes()
            model = onnx.load_from_string(content)
        except OSError:
            raise DataError(f"{path}: no such teacher; {COMMAND}") from None
        except Exception as error:                                        # protobuf's errors have no base of their own
            raise DataError(f"{path}: not an ONNX graph; {COMMAND}") from error
        layers = {int(found[1]): name for node in model.graph.node for name in node.output
                  if (found := re.fullmatch(r"/layers\.(\d+)/input_layernorm/Mul_output_0", name))}
        if not layers:
            raise DataError(f"{path}: not the encoder of Moonshine; {COMMAND}")
        self.key = hashlib.sha256(content).hexdigest()[:12]
        self.size = model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
        del model.graph.output[:]
        model.graph.output.append(onnx.helper.make_tensor_value_info(layers[max(layers)], onnx.TensorProto.FLOAT, None))
        self._input = model.graph.input[0].name
        self._session = open_session(path, graph=model.SerializeToString())

    def hear(self, samples: np.ndarray) -> np.ndarray:
        """int16 (n,) at 16 kHz -> float32 (num_states(n), size). Safe from several threads."""
        if not num_states(len(samples)):
            return np.zeros((0, self.size), np.float32)
        return self._session.run(None, {self._input: samples[None].astype(np.float32) / FULL_SCALE})[0][0]


class HeardSet:
    """The states of one set's utterances, one after another."""

    def __init__(self, path: Path, lengths: np.ndarray):
        counts = [num_states(length) for length in lengths.tolist()]
        self._states = np.load(path, mmap_mode="r")                       # (all, size) int8
        self._starts = np.cumsum([0, *counts])
        if len(self._states) != self._starts[-1]:
            raise DataError(f"{path}: holds other utterances than its set; delete it and it is made again")

    def states(self, index: int) -> np.ndarray:
        """int8 (n, size): a read-only view."""
        return self._states[self._starts[index]:self._starts[index + 1]]


class Teacher:
    """What the teacher hears at each output frame of a batch. `key` says which encoder it is."""

    def __init__(self, key: str, size: int, store: AudioStore, sets: Sequence[HeardSet]):
        self.key, self.size = key, size
        self._store, self._sets = store, sets

    def aims(self, batch: Batch, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """float32 (frames, N, size), and bool (frames, N): where there is something to foresee; linear between the teacher's states."""
        aims = np.zeros((frames, len(batch.indices), self.size), np.float32)
        known = np.zeros((frames, len(batch.indices)), bool)
        shift = REDUCTION * round(SHIFT_SAMPLES * batch.speed)
        centres = shift * np.arange(frames) + batch.speed * WINDOW_SAMPLES / 2
        for row, (parts, starts) in enumerate(zip(batch.indices, batch.starts, strict=True)):
            for index, start in zip(parts, starts, strict=True):
                part, within = self._store.place(index)
                states = self._sets[part].states(within)
                places = (centres - start - FIRST_SAMPLES) / STEP_SAMPLES
                inside = (places > -0.5) & (places < len(states) - 0.5) & (len(states) > 1)
                if inside.any():
                    places = places[inside].clip(0, len(states) - 1)
                    before = np.minimum(places.astype(int), len(states) - 2)
                    share = np.float32(places - before)[:, None]
                    aims[inside, row] = (states[before] * (1 - share) + states[before + 1] * share) / LEVELS
                    known[inside, row] = True
        return aims, known


def open_teacher(folder: Path, store: AudioStore, cache: Path, threads: int = 2, progress: bool = True) -> Teacher:
    """The teacher whose encoder is in `folder`, for the utterances of a store; what the cache lacks is heard first, with a progress bar.

    Raises DataError where there is no such encoder, or the cache cannot be written; MissingExtraError without the package onnx.
    """
    encoder = Encoder(folder)
    try:
        mean, scale = _statistics(encoder, store, cache / f"teacher-{encoder.key}.npz")

        def quantised(samples: np.ndarray) -> np.ndarray:
            return np.clip(np.rint((encoder.hear(samples) - mean) * scale * LEVELS), -127, 127).astype(np.int8)

        return Teacher(encoder.key, encoder.size, store, [_heard(part, encoder, quantised, threads, progress) for part in store.sets])
    except OSError as error:
        raise DataError(f"{error.filename or cache}: what the teacher hears cannot be kept there: {error.strerror or error}") from error


def num_states(num_samples: int) -> int:
    """How many states the encoder has for so many samples; none where it is not asked."""
    length = num_samples if num_samples <= LONGEST_S * RATE_HZ else 0
    for taps, stride in CONVOLUTIONS:
        length = max(0, (length - taps) // stride + 1)
    return length


def _statistics(encoder: Encoder, store: AudioStore, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean and one over the deviation of each channel, (size,) each, the same for all sets that this cache will ever see."""
    if not path.exists():
        chosen = np.linspace(0, len(store) - 1, min(SAMPLED, len(store))).astype(int)
        states = np.concatenate([encoder.hear(store.samples(index)) for index in chosen])
        if not len(states) or not states.std(0).min() > 0:
            raise DataError(f"the teacher hears nothing in {len(chosen)} utterances: are they speech, of at most {LONGEST_S:g} s?")
        part = path.with_suffix(f".{os.getpid()}.part.npz")
        np.savez(part, mean=states.mean(0), scale=1 / states.std(0))
        os.replace(part, path)
    with np.load(path) as held:
        return held["mean"], held["scale"]


def _heard(part: DecodedSet, encoder: Encoder, quantised, threads: int, progress: bool) -> HeardSet:
    path = part.path.with_name(f"{part.path.stem}-{encoder.key}.npy")
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}.part.npy")
        total = sum(num_states(length) for length in part.lengths.tolist())
        try:
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.int8)), "fortran_order": False, "shape": (total, encoder.size)}
            utterances = [part.samples(index) for index in range(len(part.lengths))]
            with open(unfinished, "wb") as file:                           # not a memory map: where the disk is full, that ends the process
                np.lib.format.write_array_header_1_0(file, header)
                for heard in in_order(quantised, utterances, f"hearing {part.name}", threads, progress):
                    file.write(heard.tobytes())
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    return HeardSet(path, part.lengths)
