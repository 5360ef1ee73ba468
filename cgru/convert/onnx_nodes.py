"""What writers of ONNX models put together: nodes and constants, activations, and a recurrent layer's nodes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cgru.activations import Activation
from cgru.convert.conventions import CONVENTIONS, reorder
from cgru.convert.onnx_activations import written_activations
from cgru.weights import Weights

OPSET = 17      # the oldest with everything used here and cells that are still today's


class Nodes:
    """Collects nodes and constants; every method gives the name of an output.

    Parameters
    ----------
    onnx : module
    dtype : numpy.dtype
        Of the numbers.
    """

    def __init__(self, onnx: Any, dtype: np.dtype) -> None:
        self.onnx, self.dtype = onnx, dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """One node with one output."""
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        name = f"node_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def constant(self, array: Any) -> str:
        """An array."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def number(self, value: float) -> str:
        """A number of `dtype`."""
        return self.constant(np.array(value, self.dtype))

    def integers(self, *values: int) -> str:
        """A vector of whole numbers."""
        return self.constant(np.array(values, np.int64))

    def reshape(self, data: str, shape: list[int]) -> str:
        """0 in `shape` keeps a size."""
        return self.node("Reshape", data, self.integers(*shape))

    def slice(self, data: str, start: int, end: int, axis: int, step: int = 1) -> str:
        """``data[start:end:step]`` of an axis."""
        return self.node("Slice", data, *(self.integers(number) for number in (start, end, axis, step)))

    def backwards(self, data: str, axis: int) -> str:
        """An axis the other way round."""
        return self.slice(data, -1, np.iinfo(np.int64).min, axis, -1)

    def value(self, name: str, shape: list[Any], kind: Any = None) -> Any:
        """An input or output of the model; `kind` is its type of numbers where it is not `dtype`."""
        helper = self.onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self.dtype) if kind is None else kind
        return helper.make_tensor_value_info(name, kind, shape)

    def model(self, inputs: list[Any], outputs: list[Any]) -> Any:
        """The ONNX model of all of it."""
        helper = self.onnx.helper
        graph = helper.make_graph(self.nodes, "cgru", inputs, outputs, self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, producer_name="cgru", ir_version=8, opset_imports=opset)

    # ---- what a Linear's output goes through

    def activation(self, activation: Activation, x: str) -> str:
        """A function of `cgru.activations`, over the last axis where it goes over rows."""
        name, alpha, beta = activation
        if name in _NODES:
            kind, takes = _NODES[name]
            given: dict[str, Any] = {"alpha": alpha, "beta": beta}
            return self.node(kind, x, **{parameter: given[parameter] for parameter in takes})
        if name == "softmax":
            return self.node("Softmax", x, axis=-1)
        if name == "silu":
            return self.node("Mul", x, self.node("Sigmoid", x))
        if name == "linear":
            return self._affine(alpha, x, beta)
        if name == "scaled_tanh":
            return self._affine(alpha, self.node("Tanh", self._affine(beta, x)))
        # what is left: x / 2 (1 + inner), since opset 17 has no Gelu
        if name == "gelu":
            inner = self.node("Erf", self._affine(1 / math.sqrt(2), x))
        else:
            cubic = self._affine(0.044715, self.node("Mul", x, self.node("Mul", x, x)))
            inner = self.node("Tanh", self._affine(math.sqrt(2 / math.pi), self.node("Add", x, cubic)))
        return self.node("Mul", self._affine(0.5, x), self.node("Add", inner, self.number(1)))

    def _affine(self, scale, x, shift=0.0):
        x = x if scale == 1 else self.node("Mul", x, self.number(scale))
        return x if shift == 0 else self.node("Add", x, self.number(shift))


#: Name here -> node of ONNX, and its parameters.
_NODES = {
    "sigmoid": ("Sigmoid", ()), "tanh": ("Tanh", ()), "relu": ("Relu", ()), "softsign": ("Softsign", ()),
    "softplus": ("Softplus", ()), "elu": ("Elu", ("alpha",)), "leaky_relu": ("LeakyRelu", ("alpha",)),
    "hard_sigmoid": ("HardSigmoid", ("alpha", "beta")),
}  # fmt: skip


class Recurrent:
    """The nodes of a recurrent layer or stack, one for each level; shapes in comments, T and N unknown.

    Parameters
    ----------
    nodes : Nodes
        To which they are added.
    weights : Weights
        Not quantised.
    label : str
        In the names of its nodes, behind the kind.
    lengths : str
        The name of the lengths, or "".
    """

    def __init__(self, nodes: Nodes, weights: Weights, label: str = "", lengths: str = "") -> None:
        self.nodes, self.weights, self.config = nodes, weights, weights.config
        self.label, self.lengths = label, lengths

    def write(self, x: str, starts: list[str]) -> tuple[str, list[list[str]]]:
        """The nodes of all levels.

        Parameters
        ----------
        x : str
            (T, N, I).
        starts : list of str
            For each plane of the state the initial one (L*D, N, H), or "" for zeros.

        Returns
        -------
        y : str
            (T, N, features).
        ends : list of list of str
            For each plane the final states of all levels, (D, N, H) each.
        """
        nodes, config, D = self.nodes, self.config, self.config.num_directions
        ends = []
        for layer in range(config.num_layers):
            own = [start and nodes.slice(start, layer * D, (layer + 1) * D, 0) for start in starts]
            Y, *end = self._level(x, layer, own)
            Y = nodes.node("Transpose", Y, perm=[0, 2, 1, 3])                               # (T, N, D, H)
            x = self.merge(Y) if layer == config.num_layers - 1 else nodes.reshape(Y, [0, 0, D * config.hidden_size])
            ends.append(end)
        if config.go_backwards and config.num_layers % 2:
            x = nodes.backwards(x, 0)
        return x, [list(plane) for plane in zip(*ends, strict=True)]

    def stored_start(self, plane: str, x: str) -> str:
        """The stored initial state (L*D, N, H) for the rows of x (T, N, I)."""
        nodes = self.nodes
        batch = nodes.slice(nodes.node("Shape", x), 1, 2, 0)                               # [N]
        shape = nodes.node("Concat", nodes.integers(1), batch, nodes.integers(1), axis=0)
        stored = nodes.constant(self.weights.tensors[f"{plane}_0"][:, None])               # (L*D, 1, H)
        return nodes.node("Expand", stored, shape)

    def merge(self, Y: str) -> str:
        """The directions (T, N, D, H) as one (T, N, features)."""
        nodes, config = self.nodes, self.config
        if config.merge_mode == "concat":
            return nodes.reshape(Y, [0, 0, config.num_directions * config.hidden_size])
        both = [nodes.reshape(nodes.slice(Y, d, d + 1, 2), [0, 0, config.hidden_size]) for d in range(2)]
        if config.merge_mode == "mul":
            return nodes.node("Mul", *both)
        total = nodes.node("Add", *both)
        if config.merge_mode == "sum":
            return total
        return nodes.node("Mul", total, nodes.number(0.5))

    def _level(self, x, layer, starts):
        nodes, config, cell = self.nodes, self.config, self.config.cell
        suffixes = [suffix for level, _, suffix in config.directions() if level == layer]
        parts = [[self._rows(part) for part in self.weights.direction(suffix)] for suffix in suffixes]
        w_ih, w_hh, b_ih, b_hh = (np.stack(part) for part in zip(*parts, strict=True))
        W, R = nodes.constant(w_ih), nodes.constant(w_hh)                                    # (D, G, I), (D, G, H)
        B = nodes.constant(np.concatenate([b_ih, b_hh], axis=1)) if config.bias else ""      # (D, 2G)
        # With go_backwards every layer turns the order around. Here all are in time: every other one runs forwards.
        backwards = config.reverse or (config.go_backwards and layer % 2 == 0)
        attributes: dict[str, Any] = {
            "hidden_size": config.hidden_size,
            "direction": "bidirectional" if config.bidirectional else "reverse" if backwards else "forward",
        } | written_activations(config.activations)
        if "reset_after" in cell.options:
            attributes["linear_before_reset"] = int(config.reset_after)
        if config.clip is not None:
            attributes["clip"] = config.clip
        name = f"{self.label}{layer}"
        outputs = [f"Y_{name}", *(f"Y_{plane}_{name}" for plane in cell.states)]
        node = nodes.onnx.helper.make_node(
            cell.name, [x, W, R, B, self.lengths, *starts], outputs, name=f"{cell.kind}_{name}", **attributes
        )
        nodes.nodes.append(node)
        return outputs

    def _rows(self, array):
        """Canonical rows in ONNX's order."""
        cell = self.config.cell
        return reorder(array, cell.gates, CONVENTIONS["onnx"].order_of(cell)) if cell.gates else array
