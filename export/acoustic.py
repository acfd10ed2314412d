"""The acoustic model as one ONNX graph that serves every latency (its function is AcousticModel.block).

    samples (1, n), history (1, 480), hidden (layers, 1, H), keep () int64
    -> phones (1, T, P), pieces (1, T, V), next_history (1, 480), next_hidden (layers, 1, H)

The GRU is one product for all frames' input gates of both directions and a Scan for each direction's recurrence, so that both products can
be int8: ONNX Runtime's own GRU operator has no int8 kernel. That operator is a third quicker than a float Scan, so it is what the float32
graph holds. Convolutions, norms, DFT, mel bands and softmax are float32 in both.
"""

import json
from collections import Counter

import numpy as np
import onnx
from onnx import TensorProto, helper
from torch import Tensor

from asr.bundle import TIME_ARITHMETIC
from asr.config import FRAME_SAMPLES, HISTORY_SAMPLES, SHIFT_SAMPLES
from asr.training.features import dft_matrix, window_and_mel
from asr.training.model import AcousticModel
from export.graph import Graph, floats

OPSET, IR_VERSION = 17, 8            # 17 has LayerNormalization; ONNX Runtime since 1.13 reads both


def acoustic_graph(model: AcousticModel, int8: bool = False, operator: bool | None = None, features_input: bool = False) -> onnx.ModelProto:
    """The model as ONNX.

    `int8` makes the products int8; `operator` uses the GRU operator instead of Scan (None: where it can, that is in float32).
    `features_input` leaves the log-mel out: input `features` (1, 4 T + 3, bands), natural log without normalisation, in place of samples
    and history; the caller feeds the three windows before a block again.
    """
    graph, sizes = Graph(), model.config
    operator = not int8 if operator is None else operator
    if features_input:
        bands = graph.node("Transpose", "features", perm=[0, 2, 1])                     # (1, F, M)
        inputs, outputs = [floats("features", 1, "windows", sizes.features.mel_bins)], []
    else:
        joined = graph.node("Concat", "history", "samples", axis=1)                     # (1, 480 + n)
        bands = _log_mel(graph, model, joined)
        inputs = [floats("samples", 1, "n"), floats("history", 1, HISTORY_SAMPLES)]
        outputs = [floats("next_history", 1, HISTORY_SAMPLES)]
        start = graph.node("Mul", graph.node("Reshape", "keep", graph.ints(1)), graph.ints(FRAME_SAMPLES))
        end = graph.node("Add", start, graph.ints(HISTORY_SAMPLES))
        graph.rename(graph.node("Slice", joined, start, end, graph.ints(1)), "next_history")
    last = graph.node("Sub", graph.node("Reshape", "keep", graph.ints(1)), graph.ints(1))
    x = _front(graph, model, bands, int8)                                               # (T, D)
    states = []
    for number, layer in enumerate(model.layers):
        hidden = graph.node("Gather", "hidden", graph.ints(number), axis=0)             # (1, 1, H)
        y = _norm(graph, f"layer{number}.norm", layer.norm, x)
        recur = _gru_operator if operator else _gru_scans
        ahead, both = recur(graph, f"layer{number}", layer, y, hidden, int8)            # (T, 1, H), (T, D)
        x = graph.node("Add", x, both)
        states.append(graph.node("Gather", ahead, last, axis=0))                        # (1, 1, H)
    graph.rename(graph.node("Concat", *states, axis=0), "next_hidden")
    y = _norm(graph, "norm", model.norm, x)
    for name, head in (("phones", model.phones), ("pieces", model.pieces)):
        scores = graph.linear(y, name, _array(head.weight).T, _array(head.bias), int8)
        graph.rename(graph.node("Unsqueeze", graph.node("LogSoftmax", scores, axis=1), graph.ints(0)), name)
    state = ("hidden", "next_hidden")
    inputs += [floats(state[0], sizes.layers, 1, sizes.hidden), helper.make_tensor_value_info("keep", TensorProto.INT64, [])]
    outputs = [floats("phones", 1, "T", sizes.phones), floats("pieces", 1, "T", sizes.pieces), *outputs,
               floats(state[1], sizes.layers, 1, sizes.hidden)]
    return _checked(graph.proto("acoustic", inputs, outputs), model)


def operations(proto: onnx.ModelProto) -> Counter:
    """How many nodes of each operation a graph has, bodies of Scan included."""
    def count(nodes) -> Counter:
        bodies = [attribute.g.node for node in nodes for attribute in node.attribute if attribute.name == "body"]
        return Counter(node.op_type for node in nodes) + sum((count(body) for body in bodies), Counter())
    return count(proto.graph.node)


def _log_mel(graph: Graph, model: AcousticModel, joined: str) -> str:
    """joined samples (1, S) -> log-mel without normalisation (1, F, M): the DFT and the mel bands as convolutions."""
    config = model.config.features
    dft = graph.constant("dft", _array(dft_matrix(config)).T[:, None])                  # (2 bins, 1, 400)
    mel = graph.constant("mel", _array(window_and_mel(config)[1]).T[:, :, None])        # (F, bins, 1)
    floor = graph.constant("floor", np.float32(config.floor))
    spectrum = graph.node("Conv", graph.node("Unsqueeze", joined, graph.ints(1)), dft, strides=[SHIFT_SAMPLES])
    real, imaginary = graph.split_node("Split", 2, graph.node("Mul", spectrum, spectrum), axis=1)       # (1, bins, M) each
    return graph.node("Log", graph.node("Add", graph.node("Conv", graph.node("Add", real, imaginary), mel), floor))


def _front(graph: Graph, model: AcousticModel, bands: str, int8: bool) -> str:
    """Log-mel (1, F, M) -> frames (T, D). Time stays the last axis, so the kernels are those of torch transposed."""
    mean = graph.constant("features.mean", _array(model.features.mean)[:, None])
    scale = graph.constant("features.scale", _array(model.features.scale)[:, None])
    x = graph.node("Mul", graph.node("Sub", bands, mean), scale)
    x = graph.node("Unsqueeze", x, graph.ints(1))                                       # (1, 1, F, M)
    front = model.front
    for name, conv in (("conv1", front.conv1), ("conv2", front.conv2)):
        weight = graph.constant(f"{name}.weight", _array(conv.weight).swapaxes(2, 3))
        bias = graph.constant(f"{name}.bias", _array(conv.bias))
        x = graph.node("Relu", graph.node("Conv", x, weight, bias, strides=[2, 2], pads=[1, 0, 1, 0]))  # padded in frequency only
    x = graph.node("Transpose", x, perm=[0, 3, 1, 2])                                   # (1, T, C, F / 4)
    x = graph.node("Reshape", x, graph.ints(-1, front.project.in_features))
    return graph.linear(x, "project", _array(front.project.weight).T, _array(front.project.bias), int8)


def _norm(graph: Graph, name: str, norm, x: str) -> str:
    weight, bias = graph.constant(f"{name}.weight", _array(norm.weight)), graph.constant(f"{name}.bias", _array(norm.bias))
    return graph.node("LayerNormalization", x, weight, bias, axis=-1, epsilon=norm.eps)


def _gru_scans(graph: Graph, name: str, layer, x: str, start: str, int8: bool) -> tuple[str, str]:
    """x (T, D), forward state before it (1, 1, H) -> forward states (T, 1, H) and both directions' side by side (T, 2 H)."""
    size = layer.forwards.hidden_size
    directions = (("forwards", layer.forwards), ("backwards", layer.backwards))
    weight = np.concatenate([_array(gru.weight_ih_l0) for _, gru in directions]).T      # (D, 6 H)
    # every bias but the one inside the reset product is added here, once for all frames
    inner = [_array(gru.bias_hh_l0) * (np.arange(3 * size) < 2 * size) for _, gru in directions]
    bias = np.concatenate([_array(gru.bias_ih_l0) + extra for (_, gru), extra in zip(directions, inner, strict=True)])
    gates = graph.linear(x, f"{name}.gates", weight, bias.astype(np.float32), int8)
    gates = graph.node("Unsqueeze", gates, graph.ints(1))                               # (T, 1, 6 H)
    parts = graph.split_node("Split", 4, gates, graph.ints(2 * size, size, 2 * size, size), axis=2)
    zeros = graph.constant("zeros", np.zeros((1, size), np.float32))
    starts = graph.node("Squeeze", start, graph.ints(0)), zeros
    states = []
    for reverse, (direction, gru) in enumerate(directions):
        body = _gru_step(graph, f"{name}.{direction}", gru, int8)
        _, ahead = graph.split_node("Scan", 2, starts[reverse], *parts[2 * reverse:2 * reverse + 2], body=body, num_scan_inputs=2,
                                    scan_input_directions=[reverse] * 2, scan_output_directions=[reverse])
        states.append(ahead)
    return states[0], graph.node("Squeeze", graph.node("Concat", *states, axis=2), graph.ints(1))


def _gru_step(graph: Graph, name: str, gru, int8: bool) -> onnx.GraphProto:
    """Scan body: state (1, H), reset and update gates (1, 2 H) and candidate (1, H) from the input -> the next state, twice."""
    body, size = graph.body(), gru.hidden_size
    inner = _array(gru.bias_hh_l0) * (np.arange(3 * size) >= 2 * size)
    product = body.linear("state", name, _array(gru.weight_hh_l0).T, inner.astype(np.float32), int8)    # (1, 3 H)
    from_gates, from_candidate = body.split_node("Split", 2, product, graph.ints(2 * size, size), axis=1)
    reset, update = body.split_node("Split", 2, body.node("Sigmoid", body.node("Add", "gates", from_gates)), axis=1)
    candidate = body.node("Tanh", body.node("Add", "candidate", body.node("Mul", reset, from_candidate)))
    further = body.node("Mul", update, body.node("Sub", "state", candidate))
    state = body.node("Add", candidate, further)
    body.rename(state, f"{name}.state")
    inputs = [floats("state", 1, size), floats("gates", 1, 2 * size), floats("candidate", 1, size)]
    return body.proto(name, inputs, [floats(state, 1, size), floats(f"{name}.state", 1, size)])


def _gru_operator(graph: Graph, name: str, layer, x: str, start: str, int8: bool) -> tuple[str, str]:
    """As _gru_scans, with ONNX's GRU, whose gates stand in the order update, reset, candidate."""
    size = layer.forwards.hidden_size

    def stacked(parameter: str) -> np.ndarray:
        values = [_array(getattr(gru, parameter)) for gru in (layer.forwards, layer.backwards)]
        return np.stack([np.concatenate([v[size:2 * size], v[:size], v[2 * size:]]) for v in values])

    zeros = graph.constant("zeros", np.zeros((1, 1, size), np.float32))
    starts = graph.node("Concat", start, zeros, axis=0)                                 # (2, 1, H)
    states = graph.node(
        "GRU", graph.node("Unsqueeze", x, graph.ints(1)),
        graph.constant(f"{name}.weight", stacked("weight_ih_l0")), graph.constant(f"{name}.recurrent", stacked("weight_hh_l0")),
        graph.constant(f"{name}.bias", np.concatenate([stacked("bias_ih_l0"), stacked("bias_hh_l0")], axis=1)),
        "", starts, hidden_size=size, direction="bidirectional", linear_before_reset=1,
    )                                                                                   # (T, 2, 1, H)
    ahead = graph.node("Squeeze", graph.node("Slice", states, graph.ints(0), graph.ints(1), graph.ints(1)), graph.ints(1))
    return ahead, graph.node("Reshape", states, graph.ints(-1, 2 * size))


def _checked(graph: onnx.GraphProto, model: AcousticModel) -> onnx.ModelProto:
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="asr")
    helper.set_model_props(proto, {"model": json.dumps(model.config.to_dict()), "time": json.dumps(TIME_ARITHMETIC)})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float32)
