"""ONNX models around GRU nodes, made of canonical parameters by slicing: independent of the converter."""

import numpy as np


def rows(array):
    """Canonical gates r, z, n stacked in rows, stacked z, r, n as in ONNX."""
    r, z, n = np.split(np.asarray(array, np.float32), 3)
    return np.concatenate([z, r, n])


def node_arrays(state, layer=0):
    """W (D, 3H, I), R (D, 3H, H), B (D, 6H) or None of one layer."""
    suffixes = [s for s in (f"l{layer}", f"l{layer}_reverse") if f"weight_ih_{s}" in state]
    W = np.stack([rows(state[f"weight_ih_{s}"]) for s in suffixes])
    R = np.stack([rows(state[f"weight_hh_{s}"]) for s in suffixes])
    if f"bias_ih_{suffixes[0]}" not in state:
        return W, R, None
    return W, R, np.stack([np.concatenate([rows(state[f"bias_{k}_{s}"]) for k in ("ih", "hh")]) for s in suffixes])


def single_node(
    onnx, state, *, opset=14, constants="initializer", initial_h=None, h_0=False, lengths=False, producer="test",
    name="gru", layer=0, **attributes,
):  # fmt: skip
    """A ModelProto with one GRU node: inputs X and, as asked, sequence_lens and initial_h; outputs Y, Y_h."""
    W, R, B = node_arrays(state, layer)
    stored = {"W": W, "R": R} | ({} if B is None else {"B": B})
    if initial_h is not None:
        stored["h_0"] = np.asarray(initial_h, np.float32)
    float32, int32 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    value, helper = onnx.helper.make_tensor_value_info, onnx.helper
    inputs = [value("X", float32, [None, None, W.shape[2]])]
    inputs += [value("lengths", int32, [None])] if lengths else []
    inputs += [value("h_0", float32, [None, None, R.shape[2]])] if h_0 else []
    given = ["X", "W", "R", "B" if B is not None else "", "lengths" if lengths else ""]
    given.append("h_0" if h_0 or initial_h is not None else "")
    node = helper.make_node("GRU", given, ["Y", "Y_h"], name=name, hidden_size=R.shape[2], **attributes)
    tensors = [onnx.numpy_helper.from_array(array, key) for key, array in stored.items()]
    before = []
    if constants == "nodes":
        before = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in tensors]
        tensors = []
    graph = helper.make_graph(
        [*before, node], "graph", inputs, [value("Y", float32, None), value("Y_h", float32, None)], tensors
    )
    return helper.make_model(
        graph, producer_name=producer, ir_version=8, opset_imports=[helper.make_opsetid("", opset)]
    )


def as_y(Y, layout=0):
    """ONNX's Y (T, D, N, H), or (N, T, D, H), as y with the directions side by side."""
    if layout == 0:
        Y = Y.transpose(0, 2, 1, 3)
    return Y.reshape(*Y.shape[:2], -1)
