"""ONNX models around recurrent nodes, made of canonical parameters by slicing: independent of the converter."""

import numpy as np

#: For the gates here, r, z, n or i, f, g, o, their places in the order of ONNX: z, r, n and i, o, f, g.
ORDER = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2), "rnn": (0,)}


def rows(array, kind="gru"):
    """Canonical gates stacked in rows, stacked as in ONNX."""
    parts = np.split(np.asarray(array, np.float32), len(ORDER[kind]))
    return np.concatenate([parts[place] for place in ORDER[kind]])


def node_arrays(state, layer=0, kind="gru"):
    """W (D, G, I), R (D, G, H), B (D, 2G) or None of one layer."""
    suffixes = [s for s in (f"l{layer}", f"l{layer}_reverse") if f"weight_ih_{s}" in state]
    W = np.stack([rows(state[f"weight_ih_{s}"], kind) for s in suffixes])
    R = np.stack([rows(state[f"weight_hh_{s}"], kind) for s in suffixes])
    if f"bias_ih_{suffixes[0]}" not in state:
        return W, R, None
    biases = [[rows(state[f"bias_{k}_{s}"], kind) for k in ("ih", "hh")] for s in suffixes]
    return W, R, np.stack([np.concatenate(pair) for pair in biases])


def single_node(
    onnx, state, *, opset=14, constants="initializer", initial_h=None, initial_c=None, h_0=False, c_0=False, P=None,
    lengths=False, producer="test", name="gru", layer=0, kind="gru", **attributes,
):  # fmt: skip
    """A ModelProto with one node: inputs X and, as asked, lengths, h_0 and c_0; outputs Y, Y_h and an LSTM's Y_c."""
    W, R, B = node_arrays(state, layer, kind)
    stored = {"W": W, "R": R} | ({} if B is None else {"B": B})
    given = {"h_0": initial_h, "c_0": initial_c, "P": P}
    stored |= {key: np.asarray(array, np.float32) for key, array in given.items() if array is not None}
    float32, int32 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    value, helper = onnx.helper.make_tensor_value_info, onnx.helper
    inputs = [value("X", float32, [None, None, W.shape[2]])]
    inputs += [value("lengths", int32, [None])] if lengths else []
    states = [key for key, asked in (("h_0", h_0), ("c_0", c_0)) if asked]
    inputs += [value(key, float32, [None, None, R.shape[2]]) for key in states]
    there = {*stored, *states} | ({"lengths"} if lengths else set())
    given = ["X", "W", "R", *(key if key in there else "" for key in ("B", "lengths", "h_0", "c_0", "P"))]
    while not given[-1]:
        given.pop()
    outputs = ["Y", "Y_h", "Y_c"][: 3 if kind == "lstm" else 2]
    node = helper.make_node(kind.upper(), given, outputs, name=name, hidden_size=R.shape[2], **attributes)
    tensors = [onnx.numpy_helper.from_array(array, key) for key, array in stored.items()]
    before = []
    if constants == "nodes":
        before = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in tensors]
        tensors = []
    graph = helper.make_graph(
        [*before, node], "graph", inputs, [value(output, float32, None) for output in outputs], tensors
    )
    return helper.make_model(
        graph, producer_name=producer, ir_version=8, opset_imports=[helper.make_opsetid("", opset)]
    )


def as_y(Y, layout=0):
    """ONNX's Y (T, D, N, H), or (N, T, D, H), as y with the directions side by side."""
    if layout == 0:
        Y = Y.transpose(0, 2, 1, 3)
    return Y.reshape(*Y.shape[:2], -1)
