"""A small builder of ONNX graphs: nodes get their names, constants are stored once, a matrix product is float32 or int8."""

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from export.quantise import quantise

HALF_FROM = 1024                     # numbers in a constant from which its size matters


class Graph:
    """Nodes in the order they are made. A `body` (of a Scan) has its own nodes and sees the constants of the graph it lies in."""

    def __init__(self, parent: "Graph | None" = None):
        self.nodes: list[NodeProto] = []
        self._root: Graph = parent._root if parent else self
        self._constants: dict[str, np.ndarray] = {}
        self._count = 0

    def body(self) -> "Graph":
        """An empty graph inside this one."""
        return Graph(self)

    def constant(self, name: str, value: np.ndarray) -> str:
        """Store an array under a name, once -> what nodes call it. Large ones are stored as float16 where that loses nothing."""
        root = self._root
        if not _fits_half(value):
            root._constants[name] = value
            return name
        if name not in root._constants:                      # ONNX Runtime does these casts once, when it loads the graph
            root.nodes.append(helper.make_node("Cast", [name], [f"{name}.float32"], name=f"{name}.float32", to=TensorProto.FLOAT))
        root._constants[name] = value.astype(np.float16)
        return f"{name}.float32"

    def ints(self, *values: int) -> str:
        """A constant of int64 numbers, such as axes or sizes."""
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def node(self, op: str, *inputs: str, **attributes) -> str:
        """Add a node with one output -> the output's name."""
        return self.split_node(op, 1, *inputs, **attributes)[0]

    def split_node(self, op: str, outputs: int, *inputs: str, **attributes) -> list[str]:
        """Add a node with several outputs -> their names."""
        self._root._count += 1
        name = f"{op}_{self._root._count}"
        names = [f"{name}_{i}" for i in range(outputs)] if outputs > 1 else [name]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=name, **attributes))
        return names

    def rename(self, name: str, output: str) -> str:
        """Give a result the name it has outside."""
        self.nodes.append(helper.make_node("Identity", [name], [output], name=output))
        return output

    def linear(self, x: str, name: str, weight: np.ndarray, bias: np.ndarray, int8: bool) -> str:
        """x (M, K) @ weight (K, N) + bias (N,). As int8, ONNX Runtime fuses these nodes into one DynamicQuantizeMatMul."""
        bias = self.constant(f"{name}.bias", bias)
        if not int8:
            return self.node("Add", self.node("MatMul", x, self.constant(f"{name}.weight", weight)), bias)
        numbers, scale = quantise(weight)
        numbers, scale = self.constant(f"{name}.int8", numbers), self.constant(f"{name}.scale", scale)
        zero = self.constant("int8_zero", np.zeros((), np.int8))
        x8, x_scale, x_zero = self.split_node("DynamicQuantizeLinear", 3, x)
        product = self.node("Cast", self.node("MatMulInteger", x8, numbers, x_zero, zero), to=TensorProto.FLOAT)
        return self.node("Add", self.node("Mul", product, self.node("Mul", x_scale, scale)), bias)

    def matrix8(self, name: str, weight: np.ndarray, axis: int) -> str:
        """A matrix stored as int8 with a scale for each place along `axis`; made float32 at loading."""
        others = tuple(i for i in range(weight.ndim) if i != axis)
        scale = np.maximum(np.abs(weight).max(others), 1e-8).astype(np.float32) / 127
        numbers = np.rint(weight / np.expand_dims(scale, others)).astype(np.int8)
        return self.node("DequantizeLinear", self.constant(name, numbers), self.constant(f"{name}.scale", scale), axis=axis)

    def proto(self, name: str, inputs: list[ValueInfoProto], outputs: list[ValueInfoProto]) -> GraphProto:
        """The graph in ONNX's form."""
        constants = [numpy_helper.from_array(np.ascontiguousarray(value), key) for key, value in self._constants.items()]
        return helper.make_graph(self.nodes, name, inputs, outputs, constants)


def floats(name: str, *shape: int | str) -> ValueInfoProto:
    """An input or output of float32."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _fits_half(value: np.ndarray) -> bool:
    if value.dtype != np.float32 or value.size < HALF_FROM:
        return False
    with np.errstate(over="ignore"):
        return np.array_equal(value, value.astype(np.float16))
