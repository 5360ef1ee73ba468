"""Networks and Linears as ONNX models."""

from __future__ import annotations

from typing import Any

import numpy as np

from cgru.activations import Activation
from cgru.chain import Chain
from cgru.convert.onnx_nodes import Nodes, Recurrent
from cgru.weights import Weights

_NONE = Activation("linear", 1.0)


def linear_model(onnx: Any, weights: Weights) -> Any:
    """A Linear alone: input x (N, I) and output y (N, O)."""
    nodes, config = Nodes(onnx, weights.dtype), weights.config
    nodes.node("Identity", _linear(nodes, weights, "x"), output="y")
    x, y = nodes.value("x", ["N", config.input_size]), nodes.value("y", ["N", config.output_size])
    return nodes.model([x], [y])


def _linear(nodes, weights, x):
    y = nodes.node("MatMul", x, nodes.constant(weights.tensors["weight"].T))
    if weights.config.bias:
        y = nodes.node("Add", y, nodes.constant(weights.tensors["bias"]))
    ((activation, *_), *_) = weights.config.activations
    return y if activation == _NONE else nodes.activation(activation, y)


def network_model(onnx: Any, chain: Chain, h_0: bool, lengths: bool) -> Any:
    """A network; see `cgru.convert.onnx_write.write_onnx` for its inputs and outputs."""
    turned = [number for number in chain.recurrent if chain.layers[number].config.go_backwards]
    if lengths and turned:
        raise ValueError(
            f"lengths=True: layer {turned[0]} leaves its output in reversed order, padding in front; no node of ONNX "
            "goes on from there; write the network without lengths"
        )
    return _NetworkWriter(onnx, chain, h_0, lengths).model()


class _NetworkWriter:
    """Shapes in comments; T and N are unknown."""

    def __init__(self, onnx, chain, with_states, with_lengths):
        self.chain, self.with_states, self.with_lengths = chain, with_states, with_lengths
        self.nodes, self.integer = Nodes(onnx, chain.dtype), onnx.TensorProto.INT32
        #: Of each recurrent layer: its name in the network's inputs and outputs -> its configuration.
        self.configs = {str(place): chain.layers[number].config for place, number in enumerate(chain.recurrent)}

    def model(self):
        nodes, chain = self.nodes, self.chain
        steps = ["N", "T"] if chain.batch_first else ["T", "N"]
        inputs = [nodes.value("x", [*steps, chain.input_size])]
        if self.with_states:
            inputs += self._states("0")
        if self.with_lengths:
            inputs.append(nodes.value("lengths", ["N"], self.integer))
        output_steps = steps if chain.selects is None else ["N"]
        outputs = [nodes.value("y", [*output_steps, chain.output_size]), *self._states("n")]
        self._graph()
        return nodes.model(inputs, outputs)

    def _states(self, when):
        """The values h_0_0, ... or h_n_0, ..."""
        return [
            self.nodes.value(f"{plane}_{when}_{place}", [config.num_layers * config.num_directions, "N",
                                                         config.hidden_size])
            for place, config in self.configs.items() for plane in config.cell.states
        ]  # fmt: skip

    def _graph(self):
        nodes, chain = self.nodes, self.chain
        y = x = nodes.node("Transpose", "x", perm=[1, 0, 2]) if chain.batch_first else "x"      # (T, N, I)
        place, final = 0, ""
        for number, layer in enumerate(chain.layers):
            if number == chain.selects:
                y = self._one_step(y, final)
            if layer.config.recurrent:
                y, final = self._recurrent(layer.dequantize(), str(place), y)
                place += 1
            else:
                y = _linear(nodes, layer, y)
        if chain.selects == len(chain.layers):
            y = self._one_step(y, final)
        if chain.skip:
            x = x if chain.selects is None else self._last_step(x)
            y = nodes.node("Add", y, nodes.slice(x, 0, chain.output_size, -1))
        if self.with_lengths:
            y = self._without_padding(y)
        if chain.batch_first and chain.selects is None:
            y = nodes.node("Transpose", y, perm=[1, 0, 2])
        nodes.node("Identity", y, output="y")

    def _recurrent(self, weights, place, x):
        """y (T, N, features) of a recurrent layer, and its last level's final state (D, N, H)."""
        nodes, config = self.nodes, weights.config
        layer = Recurrent(nodes, weights, f"{place}_", "lengths" if self.with_lengths else "")
        if self.with_states:
            starts = [f"{plane}_0_{place}" for plane in config.cell.states]
        else:
            starts = [layer.stored_start(plane, x) if config.initial_state else "" for plane in config.cell.states]
        y, ends = layer.write(x, starts)
        for plane, parts in zip(config.cell.states, ends, strict=True):
            nodes.node("Concat", *parts, output=f"{plane}_n_{place}", axis=0)
        if self.chain.last != "h_n":
            return y, ""
        return y, self._final(layer, ends[0][-1])

    def _final(self, layer, h):
        """The final state (D, N, H) of a recurrent layer's last level as (N, features)."""
        nodes, config = self.nodes, layer.config
        if config.num_directions == 1:
            return nodes.node("Squeeze", h, nodes.integers(0))
        rows = nodes.node("Transpose", h, perm=[1, 0, 2])                                       # (N, D, H)
        if config.merge_mode == "concat":
            return nodes.reshape(rows, [0, config.num_directions * config.hidden_size])
        merged = layer.merge(nodes.node("Unsqueeze", rows, nodes.integers(0)))                  # (1, N, H)
        return nodes.node("Squeeze", merged, nodes.integers(0))

    def _one_step(self, y, final):
        return self._last_step(y) if self.chain.last is True else final

    def _last_step(self, x):
        """(N, features): of x (T, N, features) each row's last valid step, or its first where it has none."""
        nodes = self.nodes
        if not self.with_lengths:
            return nodes.node("Gather", x, nodes.constant(np.array(-1)), axis=0)
        steps = self._lengths()
        at = nodes.node("Max", nodes.node("Sub", steps, nodes.integers(1)), nodes.integers(0))
        rows = nodes.node("Transpose", x, perm=[1, 0, 2])                                       # (N, T, features)
        return nodes.node("GatherND", rows, nodes.node("Unsqueeze", at, nodes.integers(1)), batch_dims=1)

    def _without_padding(self, y):
        """Zeros past each row's length, and where a row has no last step."""
        nodes = self.nodes
        if self.chain.selects is None:                                                          # (T, N, O)
            T = nodes.node("Gather", nodes.node("Shape", y), nodes.constant(np.array(0)), axis=0)
            steps = nodes.node("Range", nodes.constant(np.array(0)), T, nodes.constant(np.array(1)))
            steps = nodes.node("Unsqueeze", steps, nodes.integers(1))                           # (T, 1)
        else:                                                                                   # (N, O)
            steps = nodes.integers(0)
        valid = nodes.node("Unsqueeze", nodes.node("Less", steps, self._lengths()), nodes.integers(-1))
        return nodes.node("Where", valid, y, nodes.number(0))

    def _lengths(self):
        return self.nodes.node("Cast", "lengths", to=self.nodes.onnx.TensorProto.INT64)
