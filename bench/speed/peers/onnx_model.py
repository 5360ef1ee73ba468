"""The problem as an ONNX model."""


def onnx_model(problem):
    """Serialised one-node ONNX model: X, H0 -> Y, Y_h, with fixed shapes, `linear_before_reset=1`."""
    from onnx import TensorProto, helper, numpy_helper

    p = problem.point
    arrays = zip("WRB", problem.onnx_weights(), strict=True)
    weights = [numpy_helper.from_array(array, name) for name, array in arrays]
    node = helper.make_node(
        "GRU", ["X", "W", "R", "B", "", "H0"], ["Y", "Y_h"], hidden_size=p.H, linear_before_reset=1
    )

    def tensor(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [node],
        "gru",
        [tensor("X", p.T, p.N, p.I), tensor("H0", 1, p.N, p.H)],
        [tensor("Y", p.T, 1, p.N, p.H), tensor("Y_h", 1, p.N, p.H)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()
