"""Do the exported graphs compute what the model computes? Torch against both, over lengths and latencies, through the client's code.

The same AcousticStream drives all three, so what is compared is what a user's captions are made of. int8 weights are also checked by
arithmetic: no pair of products can leave 16 bits, so CPUs without VNNI give the same sums (see export.quantise).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper

from asr.bundle import Bundle
from asr.client.acoustic import FILES, Acoustic, AcousticStream, State
from asr.config import LATENCIES, RATE_HZ, Latency, block_samples
from asr.decoding.emission import Emission
from asr.errors import BundleError
from asr.training.model import AcousticModel
from export.quantise import PAIR_LIMIT, largest_pair

LENGTHS_S = (0.05, 0.6, 2.5, 11.3, 60.0)             # from less than a chunk on; none a whole number of frames
FLOAT_LIMIT = 1e-3                                   # of any log-probability
INT8_MEAN_LIMIT, INT8_AGREEMENT_LIMIT = 0.5, 0.9     # broken products are far outside, rounding is far inside


@dataclass(frozen=True)
class Case:
    """How far one graph is from the model on one recording, in log-probabilities of both heads."""

    precision: str
    length_s: float
    mode: str                        # "whole", or the chunk
    frames: int
    largest: float
    mean: float
    agreement: float                 # part of the frames whose best phone is the same

    def failure(self) -> str | None:
        """What is wrong, or None."""
        where = f"the {self.precision} graph on {self.length_s:g} s, {self.mode}"
        if not np.isfinite(self.largest):
            return f"{where}: not a number"
        if self.precision == "float" and self.largest > FLOAT_LIMIT:
            return f"{where}: a log-probability differs by {self.largest:.2g} from the model's (limit {FLOAT_LIMIT:g})"
        if self.precision == "int8" and self.mean > INT8_MEAN_LIMIT:
            return f"{where}: log-probabilities differ by {self.mean:.2g} on average (limit {INT8_MEAN_LIMIT:g})"
        if self.precision == "int8" and self.agreement < INT8_AGREEMENT_LIMIT:
            return f"{where}: only {self.agreement:.1%} of the frames have the model's best phone (limit {INT8_AGREEMENT_LIMIT:.0%})"
        return None


class TorchAcoustic:
    """The torch model with the methods of asr.client.acoustic.Acoustic that a stream uses."""

    def __init__(self, model: AcousticModel):
        self._model = model

    def initial_state(self) -> State:
        """The state before the first sample."""
        return State(*(tensor.numpy() for tensor in self._model.initial_state()))

    @torch.inference_mode()
    def run(self, samples: np.ndarray, state: State, keep: int) -> tuple[Emission, State]:
        """Run one block, samples (n,)."""
        inputs = [torch.from_numpy(array) for array in (samples[None], state.history, state.hidden)]
        phones, pieces, history, hidden = (tensor.numpy() for tensor in self._model.block(*inputs, keep))
        return Emission(phones[0], pieces[0]), State(history, hidden)


def compare(model: AcousticModel, bundle: Bundle, lengths_s: Sequence[float] = LENGTHS_S) -> Iterator[Case]:
    """Each graph of the bundle at each length and latency, as it is done."""
    exact = TorchAcoustic(model)
    graphs = {precision: Acoustic(bundle, precision) for precision, name in FILES.items() if bundle.has(name)}
    signal = babble(max(lengths_s))
    modes = {f"{ms} ms chunks": latency for ms, latency in LATENCIES.items()}
    for length_s in lengths_s:
        samples = signal[:int(length_s * RATE_HZ)]
        whole = Latency(chunk=len(samples), right=0)                                    # never filled: all of it is one block
        for mode, latency in {"whole": whole, **modes}.items():
            expected = _emission(exact, latency, samples)
            for precision, graph in graphs.items():
                yield _case(precision, length_s, mode, expected, _emission(graph, latency, samples))


def check(cases: Sequence[Case], bundle: Bundle) -> None:
    """Raise BundleError, naming the case, unless every one is within its limits and no int8 product can saturate."""
    for case in cases:
        if case.failure():
            raise BundleError(f"not exported: {case.failure()}")
    if bundle.has(FILES["int8"]):
        pair = saturation(onnx.load(bundle.path(FILES["int8"])))
        if pair > PAIR_LIMIT:
            raise BundleError(f"not exported: neighbouring int8 weights sum to {pair}: a CPU without VNNI saturates (limit {PAIR_LIMIT})")


def saturation(proto: onnx.ModelProto) -> int:
    """The largest sum of two neighbouring int8 weights in a graph; above PAIR_LIMIT, `vpmaddubsw` can saturate."""
    weights = [numpy_helper.to_array(t) for t in proto.graph.initializer if t.data_type == TensorProto.INT8 and len(t.dims) == 2]
    return max((int(largest_pair(w.astype(np.int32)).max()) for w in weights), default=0)


def table(cases: Sequence[Case]) -> str:
    """The worst of each precision and mode over all lengths, for people."""
    lines = ["precision  mode             frames   largest      mean  same phone"]
    groups = dict.fromkeys((case.precision, case.mode) for case in cases)
    for precision, mode in sorted(groups):
        group = [case for case in cases if (case.precision, case.mode) == (precision, mode)]
        frames = sum(case.frames for case in group)
        mean, same = (sum(getattr(case, name) * case.frames for case in group) / frames for name in ("mean", "agreement"))
        lines.append(f"{precision:9}  {mode:15} {frames:7} {max(case.largest for case in group):9.2g} {mean:9.2g} {same:11.2%}")
    return "\n".join(lines)


def babble(length_s: float) -> np.ndarray:
    """Something that excites a speech model: voiced and noisy stretches of changing pitch and colour with pauses, (n,) float32."""
    random, stretches, count = np.random.default_rng(7), [], 0
    while count < length_s * RATE_HZ:
        n = int(random.uniform(0.06, 0.25) * RATE_HZ)
        phase = 2 * np.pi * np.cumsum(np.linspace(*random.uniform(90, 250, 2), n)) / RATE_HZ        # radians
        formants = random.uniform(200, 3500, 3)
        harmonics = np.arange(1, 25)[:, None] * np.exp(-np.abs(np.arange(1, 25)[:, None] * 160 - formants).min(1, keepdims=True) / 300)
        voiced = (harmonics * np.sin(np.arange(1, 25)[:, None] * phase)).sum(0) / 24
        noise = np.convolve(random.standard_normal(n), random.standard_normal(8), "same") / 4
        share = random.choice([0.0, 0.1, 1.0])
        level = random.choice([0.0, 0.02, 0.1, 0.3])
        stretches.append(level * np.hanning(n) * ((1 - share) * voiced + share * noise))
        count += n
    return np.concatenate(stretches).astype(np.float32)[:max(int(length_s * RATE_HZ), block_samples(1))]


def _emission(acoustic: Acoustic | TorchAcoustic, latency: Latency, samples: np.ndarray) -> Emission:
    stream = AcousticStream(acoustic, latency)
    return Emission.concatenate([*stream.feed(samples), stream.flush()])


def _case(precision: str, length_s: float, mode: str, expected: Emission, found: Emission) -> Case:
    difference = np.concatenate([np.abs(found.phones - expected.phones), np.abs(found.pieces - expected.pieces)], axis=1)
    same = found.phones.argmax(1) == expected.phones.argmax(1)
    return Case(precision, length_s, mode, frames=len(same), largest=float(difference.max()),
                mean=float(difference.mean()), agreement=float(same.mean()))
