"""The problem as an ONNX model."""

import numpy as np

from bench.common.numpy_cells import ARRAYS

# ONNX's gate order in PyTorch's: z, r, n and i, o, f, g.
_ORDERS = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2), "rnn": (0,)}


def state_names(point):
    """Names of the inputs and outputs for the state, layer by layer: (H0_0, Yh_0), and an LSTM's (C0_0, Yc_0)."""
    letters = (("H0", "Yh"), ("C0", "Yc")) if point.cell == "lstm" else (("H0", "Yh"),)
    return [(f"{first}_{layer}", f"{last}_{layer}") for layer in range(point.layers) for first, last in letters]


def state_arrays(problem):
    """The initial state in the order of `state_names`, (D, N, H) each, copied."""
    d, layers = problem.point.directions, range(problem.point.layers)
    return [plane[layer * d : (layer + 1) * d].copy() for layer in layers for plane in problem.states]


def onnx_model(problem):
    """Serialised ONNX model with fixed shapes, a node a layer: X and the states -> Y (T, D, N, H) and the states.

    A GRU has `linear_before_reset=1`.
    """
    from onnx import TensorProto, helper, numpy_helper

    p = problem.point
    planes = 2 if p.cell == "lstm" else 1
    nodes, constants, x = [], [], "X"
    attributes = {"hidden_size": p.H, "direction": "bidirectional" if p.directions == 2 else "forward"}
    if p.cell == "gru":
        attributes["linear_before_reset"] = 1
    states = state_names(p)
    for layer in range(p.layers):
        names = [f"{letter}_{layer}" for letter in "WRB"]
        constants += [numpy_helper.from_array(a, name) for name, a in zip(names, _weights(problem, layer), strict=True)]
        ins, outs = zip(*states[layer * planes : (layer + 1) * planes], strict=True)
        y = "Y" if layer == p.layers - 1 else f"Y_{layer}"
        nodes.append(helper.make_node(p.cell.upper(), [x, *names, "", *ins], [y, *outs], **attributes))
        if y != "Y":  # (T, D, N, H) -> (T, N, D * H)
            x = f"X_{layer + 1}"
            nodes.append(helper.make_node("Transpose", [y], [f"{y}_rows"], perm=(0, 2, 1, 3)))
            nodes.append(helper.make_node("Reshape", [f"{y}_rows", "shape"], [x]))
    if p.layers > 1:
        constants.append(numpy_helper.from_array(np.array([p.T, p.N, p.directions * p.H]), "shape"))

    def tensor(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    state = (p.directions, p.N, p.H)
    graph = helper.make_graph(
        nodes,
        p.cell,
        [tensor("X", p.T, p.N, p.I), *(tensor(name, *state) for name, _ in states)],
        [tensor("Y", p.T, p.directions, p.N, p.H), *(tensor(name, *state) for _, name in states)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def _weights(problem, layer):
    """W (D, GH, I), R (D, GH, H), B (D, 2GH) of a layer in ONNX's gate order."""
    p = problem.point

    def reorder(array):
        return array.reshape(-1, p.H, *array.shape[1:])[list(_ORDERS[p.cell])].reshape(array.shape)

    found = []
    for suffix in ("", "_reverse")[: p.directions]:
        w, r, b, c = (reorder(problem.state[f"{name}_l{layer}{suffix}"]) for name in ARRAYS)
        found.append((w, r, np.concatenate([b, c])))
    return [np.stack(one) for one in zip(*found, strict=True)]
