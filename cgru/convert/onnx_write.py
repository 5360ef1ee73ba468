"""`to_onnx` of models: a model of GRU, LSTM or RNN nodes, one per layer, that ONNX Runtime runs to the same numbers."""

import os

import numpy as np

from cgru.convert._errors import missing
from cgru.convert.conventions import CONVENTIONS, reorder
from cgru.convert.onnx_activations import written_activations
from cgru.files import write_whole
from cgru.weights import Weights

OPSET = 17      # the oldest with everything used here and cells that are still today's


def write_onnx(
    weights: Weights, path: str | os.PathLike[str], *, h_0: bool = True, lengths: bool = False
) -> None:
    """Write `weights` as an ONNX model; see `Recurrent.to_onnx`."""
    try:
        import onnx
    except ImportError as error:
        raise missing("onnx", "cgru[onnx]", error) from error
    model = _Writer(onnx, weights.dequantize(), h_0, lengths).model()
    onnx.checker.check_model(model)
    write_whole(path, model.SerializeToString())


class _Writer:
    """Collects nodes and constants; shapes in comments, T and N unknown."""

    def __init__(self, onnx, weights, h_0, lengths):
        self.onnx, self.weights, self.config = onnx, weights, weights.config
        self.with_h_0, self.with_lengths = h_0, lengths
        self.nodes, self.constants = [], []

    def model(self):
        onnx, config = self.onnx, self.config
        number = onnx.helper.np_dtype_to_tensor_dtype(self.weights.dtype)
        steps = ["N", "T"] if config.batch_first else ["T", "N"]
        states = [config.num_layers * config.num_directions, "N", config.hidden_size]
        value = onnx.helper.make_tensor_value_info
        inputs = [value("x", number, [*steps, config.input_size])]
        if self.with_h_0:
            inputs += [value(f"{plane}_0", number, states) for plane in config.cell.states]
        if self.with_lengths:
            inputs.append(value("lengths", onnx.TensorProto.INT32, ["N"]))
        outputs = [value("y", number, [*steps, config.output_size])]
        outputs += [value(f"{plane}_n", number, states) for plane in config.cell.states]
        self._graph()
        graph = onnx.helper.make_graph(self.nodes, "cgru", inputs, outputs, self.constants)
        return onnx.helper.make_model(
            graph, producer_name="cgru", ir_version=8, opset_imports=[onnx.helper.make_opsetid("", OPSET)]
        )

    def _graph(self):
        config, D = self.config, self.config.num_directions
        x = self._node("Transpose", "x", perm=[1, 0, 2]) if config.batch_first else "x"      # (T, N, I)
        starts = [self._starts(plane) for plane in config.cell.states]
        ends = []
        for layer in range(config.num_layers):
            last = layer == config.num_layers - 1
            Y, *end = self._layer(x, layer, [start[layer] for start in starts])
            Y = self._node("Transpose", Y, perm=[0, 2, 1, 3])                               # (T, N, D, H)
            merge = last and config.merge_mode != "concat"
            x = self._merge(Y) if merge else self._reshape(Y, [0, 0, D * config.hidden_size])
            ends.append(end)
        if config.go_backwards and config.num_layers % 2:
            x = self._slice(x, -1, np.iinfo(np.int64).min, 0, -1)
        if config.batch_first:
            x = self._node("Transpose", x, perm=[1, 0, 2])
        self._node("Identity", x, output="y")
        for plane, parts in zip(config.cell.states, zip(*ends, strict=True), strict=True):
            self._node("Concat", *parts, output=f"{plane}_n", axis=0)

    def _starts(self, plane):
        """initial_h, or initial_c, of every layer (D, N, H), or "" for zeros."""
        config, D = self.config, self.config.num_directions
        if self.with_h_0:
            whole = f"{plane}_0"
        elif config.initial_state:
            axis = 0 if config.batch_first else 1
            batch = self._slice(self._node("Shape", "x"), axis, axis + 1, 0)                  # [N]
            one = self._constant(np.array([1]))
            shape = self._node("Concat", one, batch, one, axis=0)
            stored = self._constant(self.weights.tensors[f"{plane}_0"][:, None])                    # (L*D, 1, H)
            whole = self._node("Expand", stored, shape)
        else:
            return [""] * config.num_layers
        return [self._slice(whole, k * D, (k + 1) * D, 0) for k in range(config.num_layers)]

    def _layer(self, x, layer, starts):
        config, cell = self.config, self.config.cell
        suffixes = [suffix for level, _, suffix in config.directions() if level == layer]
        parts = [[self._rows(part) for part in self.weights.direction(suffix)] for suffix in suffixes]
        w_ih, w_hh, b_ih, b_hh = (np.stack(part) for part in zip(*parts, strict=True))
        W, R = self._constant(w_ih), self._constant(w_hh)                                    # (D, G, I), (D, G, H)
        B = self._constant(np.concatenate([b_ih, b_hh], axis=1)) if config.bias else ""      # (D, 2G)
        # With go_backwards every layer turns the order around. Here all are in time: every other one runs forwards.
        backwards = config.reverse or (config.go_backwards and layer % 2 == 0)
        attributes = {
            "hidden_size": config.hidden_size,
            "direction": "bidirectional" if config.bidirectional else "reverse" if backwards else "forward",
        } | written_activations(config.activations)
        if "reset_after" in cell.options:
            attributes["linear_before_reset"] = int(config.reset_after)
        if config.clip is not None:
            attributes["clip"] = config.clip
        lengths = "lengths" if self.with_lengths else ""
        outputs = [f"Y_{layer}", *(f"Y_{plane}_{layer}" for plane in cell.states)]
        self.nodes.append(
            self.onnx.helper.make_node(
                cell.name, [x, W, R, B, lengths, *starts], outputs, name=f"{cell.kind}_{layer}", **attributes
            )
        )
        return outputs

    def _merge(self, Y):
        """The two directions (T, N, 2, H) as one (T, N, H)."""
        both = [self._reshape(self._slice(Y, d, d + 1, 2), [0, 0, self.config.hidden_size]) for d in range(2)]
        if self.config.merge_mode == "mul":
            return self._node("Mul", *both)
        total = self._node("Add", *both)
        if self.config.merge_mode == "sum":
            return total
        return self._node("Mul", total, self._constant(np.array(0.5, self.weights.dtype)))

    def _rows(self, array):
        """Canonical rows in ONNX's order."""
        cell = self.config.cell
        return reorder(array, cell.gates, CONVENTIONS["onnx"].order_of(cell)) if cell.gates else array

    # ---- one node or constant each; returns the name of its output

    def _node(self, kind, *inputs, output=None, **attributes):
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        name = f"node_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def _constant(self, array):
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _reshape(self, data, shape):
        return self._node("Reshape", data, self._constant(np.array(shape)))

    def _slice(self, data, start, end, axis, step=1):
        return self._node("Slice", data, *(self._constant(np.array([number])) for number in (start, end, axis, step)))
