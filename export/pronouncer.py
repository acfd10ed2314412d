"""The pronouncer as one ONNX graph of two halves, with 8-bit weights and float32 arithmetic.

    letters (W, T)
        -> new_keys (W, D, T), new_memory (W, T, M), start (W, D)
    keys (W, D, T), memory (W, T, M), state (W, K, D), phones (W, K), step ()
        -> log_probs (W, K, P), next_state (W, K, D)

The first half reads W words of T letters, once. The second is asked for each step: K hypotheses a word, the phone that each said last and
its state before it -> natural logarithms of the chances of the next phone, and the state to give with it. One half runs at a time
(`only_execute_path_to_fetches`), the other's inputs may then be anything. The metadata name letters and phones in the order of their ids.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from asr.pronouncer import LETTERS, PHONES
from asr.training.pronouncer_model import PronouncerModel
from export.graph import Graph, floats

OPSET, IR_VERSION = 17, 8


def pronouncer_graph(model: PronouncerModel) -> onnx.ModelProto:
    """The model as ONNX."""
    graph, sizes = Graph(), model.config
    weights = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    memory_size = 2 * sizes.encoder
    _encoder(graph, weights, sizes.encoder, sizes.decoder)
    _step(graph, weights, sizes.decoder, sizes.reach)
    keys, memory = floats("keys", "words", sizes.decoder, "letters"), floats("memory", "words", "letters", memory_size)
    inputs = [helper.make_tensor_value_info("letters", TensorProto.INT64, ["new_words", "new_letters"]), keys, memory,
              floats("state", "words", "hypotheses", sizes.decoder),
              helper.make_tensor_value_info("phones", TensorProto.INT64, ["words", "hypotheses"]),
              helper.make_tensor_value_info("step", TensorProto.INT64, [])]
    outputs = [floats("new_keys", "new_words", sizes.decoder, "new_letters"), floats("new_memory", "new_words", "new_letters", memory_size),
               floats("start", "new_words", sizes.decoder), floats("log_probs", "words", "hypotheses", len(PHONES)),
               floats("next_state", "words", "hypotheses", sizes.decoder)]
    opset = helper.make_opsetid("", OPSET)
    proto = helper.make_model(graph.proto("pronouncer", inputs, outputs), opset_imports=[opset], ir_version=IR_VERSION)
    helper.set_model_props(proto, {"letters": LETTERS, "phones": " ".join(PHONES)})
    onnx.checker.check_model(proto)
    return proto


def write_pronouncer(model: PronouncerModel, path: Path) -> None:
    """Write the graph. Raises OSError."""
    onnx.save(pronouncer_graph(model), path)


def _encoder(graph: Graph, weights: dict[str, np.ndarray], hidden: int, decoder: int) -> None:
    spelled = graph.node("Transpose", "letters", perm=[1, 0])               # (T, W)
    read = graph.node("Gather", graph.constant("letters.table", weights["letters.weight"]), spelled, axis=0)
    both, ends = [], []
    for name, direction in (("forth", "forward"), ("back", "reverse")):
        gates = [_gates(weights[f"{name}.{kind}_l0"]) for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        inner, outer = (graph.matrix8(f"{name}.{kind}", gate[None], axis=1) for kind, gate in zip(("input", "recurrent"), gates))
        bias = graph.constant(f"{name}.bias", np.concatenate(gates[2:])[None])
        states, end = graph.split_node("GRU", 2, read, inner, outer, bias, hidden_size=hidden, direction=direction, linear_before_reset=1)
        both.append(graph.node("Squeeze", states, graph.ints(1)))           # (T, W, H)
        ends.append(graph.node("Squeeze", end, graph.ints(0)))              # (W, H)
    memory = graph.node("Transpose", graph.node("Concat", *both, axis=2), perm=[1, 0, 2])                   # (W, T, M)
    graph.rename(memory, "new_memory")
    keys = graph.node("MatMul", memory, graph.matrix8("keys.weight", weights["keys.weight"].T * decoder ** -0.5, axis=1))
    graph.rename(graph.node("Transpose", keys, perm=[0, 2, 1]), "new_keys")
    graph.rename(graph.node("Tanh", _linear(graph, graph.node("Concat", *ends, axis=1), "start", weights)), "start")


def _step(graph: Graph, weights: dict[str, np.ndarray], hidden: int, reach: int) -> None:
    # What a phone adds to the gates depends on the phone alone: a table of them saves the product.
    table = weights["phones.weight"] @ weights["decoder.weight_ih_l0"].T + weights["decoder.bias_ih_l0"]
    from_phone = graph.node("Gather", graph.constant("phones.table", table), "phones", axis=0)              # (W, K, 3D)
    recurrent = graph.matrix8("decoder.recurrent", weights["decoder.weight_hh_l0"].T, axis=1)
    bias = graph.constant("decoder.bias", weights["decoder.bias_hh_l0"])
    from_state = graph.node("Add", graph.node("MatMul", "state", recurrent), bias)
    split = graph.ints(hidden, hidden, hidden)
    reset_p, update_p, new_p = graph.split_node("Split", 3, from_phone, split, axis=2)                      # (W, K, D) each
    reset_s, update_s, new_s = graph.split_node("Split", 3, from_state, split, axis=2)
    reset, update = (graph.node("Sigmoid", graph.node("Add", a, b)) for a, b in ((reset_p, reset_s), (update_p, update_s)))
    new = graph.node("Tanh", graph.node("Add", new_p, graph.node("Mul", reset, new_s)))
    state = graph.rename(graph.node("Add", new, graph.node("Mul", update, graph.node("Sub", "state", new))), "next_state")
    scores = graph.node("Add", graph.node("MatMul", state, "keys"), _bias(graph, weights["nearness"], reach))                # (W, K, T)
    context = graph.node("MatMul", graph.node("Softmax", scores, axis=2), "memory")                         # (W, K, M)
    merged = graph.node("Tanh", _linear(graph, graph.node("Concat", state, context, axis=2), "merge", weights))
    graph.rename(graph.node("LogSoftmax", _linear(graph, merged, "output", weights), axis=2), "log_probs")


def _bias(graph: Graph, nearness: np.ndarray, reach: int) -> str:
    """The attention's bias for each letter, (T,)."""
    zero, one = graph.constant("zero", np.array(0, np.int64)), graph.constant("one", np.array(1, np.int64))
    length = graph.node("Gather", graph.node("Shape", "keys"), graph.constant("two", np.array(2, np.int64)), axis=0)
    ahead = graph.node("Sub", graph.node("Range", zero, length, one), "step")
    least, most = graph.constant("behind", np.array(-reach, np.int64)), graph.constant("reach", np.array(reach, np.int64))
    place = graph.node("Add", graph.node("Clip", ahead, least, most), most)
    return graph.node("Gather", graph.constant("nearness", nearness), place, axis=0)


def _linear(graph: Graph, x: str, name: str, weights: dict[str, np.ndarray]) -> str:
    matrix = graph.matrix8(f"{name}.weight", weights[f"{name}.weight"].T, axis=1)
    return graph.node("Add", graph.node("MatMul", x, matrix), graph.constant(f"{name}.bias", weights[f"{name}.bias"]))


def _gates(stacked: np.ndarray) -> np.ndarray:
    """torch's order of the gates (reset, update, new) -> ONNX's (update, reset, new)."""
    reset, update, new = np.split(stacked, 3)
    return np.concatenate([update, reset, new])
