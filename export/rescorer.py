"""The word model as an ONNX graph that answers for many contexts at once, with 8-bit weights and float32 arithmetic.

    state (B, H), words (B,), row (A,), asked (A,) -> next_state (B, H), scores (A,)

Row b is a context: its state, and the word that comes next. `next_state[b]` is the state after it, `scores[a]` the natural logarithm of
the chance of the word `asked[a]` there, where row[a] = b. Tables are dequantised row by row where they are read, matrices at loading.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from asr.decoding.rescoring import FILES
from asr.training.word_model import WordModel
from export.graph import Graph, floats

OPSET, IR_VERSION = 17, 8


def rescorer_graph(model: WordModel) -> onnx.ModelProto:
    """The model as ONNX."""
    graph, sizes = Graph(), model.config
    weights = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    table, scale = _rows8(weights["embedding.weight"])
    graph.constant("table", table)
    graph.constant("table.scale", scale)
    graph.constant("bias", weights["bias"])
    inner = graph.matrix8("recurrent", weights["gru.weight_hh_l0"].T, axis=1)
    outer = graph.matrix8("input", weights["gru.weight_ih_l0"].T, axis=1)
    split = graph.ints(sizes.hidden, sizes.hidden, sizes.hidden)
    from_word = graph.node("Add", graph.node("MatMul", _rows(graph, "words"), outer), graph.constant("b_i", weights["gru.bias_ih_l0"]))
    from_state = graph.node("Add", graph.node("MatMul", "state", inner), graph.constant("b_h", weights["gru.bias_hh_l0"]))
    reset_w, update_w, new_w = graph.split_node("Split", 3, from_word, split, axis=1)                       # (B, H) each
    reset_s, update_s, new_s = graph.split_node("Split", 3, from_state, split, axis=1)
    reset, update = (graph.node("Sigmoid", graph.node("Add", a, b)) for a, b in ((reset_w, reset_s), (update_w, update_s)))
    new = graph.node("Tanh", graph.node("Add", new_w, graph.node("Mul", reset, new_s)))
    state = graph.rename(graph.node("Add", new, graph.node("Mul", update, graph.node("Sub", "state", new))), "next_state")
    projection = graph.matrix8("projection", weights["projection.weight"].T, axis=1)
    output = graph.node("Add", graph.node("MatMul", state, projection), graph.constant("b_p", weights["projection.bias"]))          # (B, E)
    product = graph.node("Mul", graph.node("Gather", output, "row", axis=0), _rows(graph, "asked"))         # (A, E)
    summed = graph.node("ReduceSum", product, graph.ints(1), keepdims=0)
    graph.rename(graph.node("Add", summed, graph.node("Gather", "bias", "asked", axis=0)), "scores")
    inputs = [floats("state", "contexts", sizes.hidden), *(helper.make_tensor_value_info(name, TensorProto.INT64, [size])
              for name, size in (("words", "contexts"), ("row", "questions"), ("asked", "questions")))]
    outputs = [floats("next_state", "contexts", sizes.hidden), floats("scores", "questions")]
    opset = helper.make_opsetid("", OPSET)
    proto = helper.make_model(graph.proto("rescorer", inputs, outputs), opset_imports=[opset], ir_version=IR_VERSION)
    onnx.checker.check_model(proto)
    return proto


def write_rescorer(model: WordModel, words: list[str], folder: Path) -> None:
    """Write the graph and its words, one a line in the order of their ids, into `folder`."""
    graph_file, words_file = FILES
    onnx.save(rescorer_graph(model), folder / graph_file)
    (folder / words_file).write_text("".join(f"{word}\n" for word in words), encoding="utf-8", newline="\n")


def _rows8(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """table (V, E) -> int8 (V, E), scale (V, 1)."""
    scale = np.maximum(np.abs(table).max(1, keepdims=True), 1e-8).astype(np.float32) / 127
    return np.rint(table / scale).astype(np.int8), scale


def _rows(graph: Graph, ids: str) -> str:
    """Rows of the table, (N, E) float32."""
    numbers = graph.node("Cast", graph.node("Gather", "table", ids, axis=0), to=TensorProto.FLOAT)
    return graph.node("Mul", numbers, graph.node("Gather", "table.scale", ids, axis=0))
