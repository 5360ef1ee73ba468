"""ONNX graphs of whole networks, node by node: independent of the converter."""

import numpy as np

from support.models import random_state
from support.onnx_models import node_arrays


class Net:
    """Collects nodes and constants; every method returns the name of what it makes."""

    def __init__(self, onnx, rng):
        self.onnx, self.rng = onnx, rng
        self.nodes, self.tensors = [], []

    def constant(self, array):
        """A stored tensor."""
        name = f"constant_{len(self.tensors)}"
        self.tensors.append(self.onnx.numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def number(self, *shape, low=-1.0, high=1.0):
        """A stored tensor of random numbers."""
        return self.constant(self.rng.uniform(low, high, shape).astype(np.float32))

    def node(self, op, *inputs, outputs=1, domain="", **attributes):
        """A node; the name of its output, or a list of names."""
        name = f"{op.lower()}_{len(self.nodes)}"
        made = [f"{name}_out{k}" for k in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), made, name=name, domain=domain, **attributes))
        return made[0] if outputs == 1 else made

    def ints(self, *numbers):
        """A stored list of whole numbers."""
        return self.constant(np.array(numbers, np.int64))

    def recurrent(self, x, kind, sizes, *, direction="forward", states=(), lengths="", **options):
        """A recurrent node over x (T, N, I): Y, Y_h and an LSTM's Y_c."""
        both = direction == "bidirectional"
        state = random_state(self.rng, *sizes, bidirectional=both, kind=kind)
        W, R, B = (self.constant(array) for array in node_arrays(state, kind=kind))
        if kind == "gru":
            options.setdefault("linear_before_reset", 1)
        return self.node(
            kind.upper(), x, W, R, B, lengths, *states, outputs=3 if kind == "lstm" else 2, hidden_size=sizes[1],
            direction=direction, **options,
        )  # fmt: skip

    def joined(self, Y, features):
        """Y (T, D, N, H) as (T, N, D * H)."""
        return self.node("Reshape", self.node("Transpose", Y, perm=[0, 2, 1, 3]), self.ints(0, 0, features))

    def swapped(self, x):
        """The first two axes turned."""
        return self.node("Transpose", x, perm=[1, 0, 2])

    def dense(self, x, sizes, form):
        """Features times a matrix, in one of `FORMS`."""
        fan_in, out = sizes
        bound = 1 / np.sqrt(fan_in)
        weight, bias = (self.rng.uniform(-bound, bound, shape).astype(np.float32) for shape in ((fan_in, out), out))
        if form == "gemm":
            flat = self.node("Reshape", x, self.ints(-1, fan_in))
            y = self.node("Gemm", flat, self.constant(2 * weight.T), self.constant(bias), transB=1, alpha=0.5)
            shape = self.node("Concat", self.node("Slice", self.node("Shape", x), self.ints(0), self.ints(2)),
                              self.ints(out), axis=0)  # fmt: skip
            return self.node("Reshape", y, shape)
        if form == "left":
            turned = self.node("Transpose", x, perm=[0, 2, 1])
            y = self.node("MatMul", self.constant(weight.T), turned)
            y = self.node("Add", y, self.constant(bias[:, None]))
            return self.node("Transpose", y, perm=[0, 2, 1])
        kernel = self.constant(weight)
        if form == "folded":
            kernel = self.node("Transpose", self.constant(weight.T), perm=[1, 0])
        y = self.node("MatMul", x, kernel)
        return y if form == "no bias" else self.node("Add", self.constant(bias), y)

    def model(self, inputs, outputs, *, opset=17, producer="test"):
        """A ModelProto; inputs are (name, sizes), sizes None where they are free; outputs are names, renamed."""
        onnx, value = self.onnx, self.onnx.helper.make_tensor_value_info
        for name, made in outputs.items():
            self.nodes.append(onnx.helper.make_node("Identity", [made], [name], name=f"out_{name}"))
        graph = onnx.helper.make_graph(
            self.nodes, "net", [value(name, onnx.TensorProto.FLOAT, sizes) for name, sizes in inputs.items()],
            [value(name, onnx.TensorProto.FLOAT, None) for name in outputs], self.tensors,
        )  # fmt: skip
        return onnx.helper.make_model(
            graph, producer_name=producer, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", opset)]
        )


FORMS = ["plain", "no bias", "gemm", "left", "folded"]


def run(model, **inputs):
    """ONNX Runtime's outputs."""
    from support.peers import peer

    session = peer("onnxruntime").InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)
