"""OpenVINO with 8-bit weights: its LSTM.

It has none for a GRU whose reset gate acts after the product (2026.4): quantised, that one is not implemented ("could
not create a primitive descriptor for the LBR GRU forward propagation primitive"). Weights that are only compressed,
8-bit constants times a scale for each row, are expanded to float32 when the model is compiled.
"""

import numpy as np

from bench.common.numpy_cells import ARRAYS
from bench.common.timing import PythonRunner
from bench.speed.peers.cgru_engines import cgru_isa
from bench.speed.peers.open_vino import OpenVino

_ORDER = [1, 0, 2, 3]  # its gates f, i, g, o in PyTorch's i, f, g, o


class OpenVinoInt8(OpenVino):
    """An LSTM's sequence operation behind quantisers of x and h; a scale for each row of the weights, c in float32.

    The scale of x and h is one for both and fixed when the model is built: users calibrate it on data. Here it is made
    for the largest number of this very x, the best that a calibration can find. Without VNNI its 16-bit sums of two
    products saturate, and weights take half of the range, as NNCF's overflow fix has it.
    """

    name, weight_dtype, cells, stacks = "OpenVINO int8", "int8", ("lstm",), False

    def runners(self, problem):
        p, tensor = problem.point, self.openvino.Tensor
        compiled = self._compiled(self._sequence(problem))
        found = {node["runtimePrecision"].value for node in _recurrent(compiled)}
        if not found or found - {"u8", "i8"}:
            raise RuntimeError(f"OpenVINO computes in {sorted(found)} here, not in 8 bits")
        x = np.ascontiguousarray(problem.x.swapaxes(0, 1))  # (N, T, I), as it wants it

        def request(before, after, y):
            one = compiled.create_infer_request()
            for i, array in enumerate([x, *before]):
                one.set_input_tensor(i, tensor(array, shared_memory=True))
            for i, array in enumerate([y, *after]):
                one.set_output_tensor(i, tensor(array, shared_memory=True))
            return one

        def prepare():
            ping = [plane.swapaxes(0, 1).copy() for plane in problem.states]
            pong = [np.empty_like(array) for array in ping]
            y = np.empty((p.N, 1, p.T, p.H), np.float32)
            now, then = request(ping, pong, y), request(pong, ping, y)
            # OpenVINO's tensors do not keep the arrays whose memory they share: these names do.
            return {"infer": now.infer, "y": y, "now": now, "then": then, "keep": (x, ping, pong)}

        call = "now.infer(share_outputs=True); now, then = then, now" if p.is_step else "infer(share_outputs=True)"
        return [PythonRunner(call, "y[:, 0].swapaxes(0, 1)", prepare, problem.check_calls)]

    def _sequence(self, problem):
        """x (N, T, I), h and c (N, 1, H) -> y (N, 1, T, H), h and c (N, 1, H)."""
        from openvino import opset8 as ops

        p, spread = problem.point, 1 if (cgru_isa() or {"name": ""})["name"].endswith("vnni") else 2
        w, u, b, c = (
            array.reshape(-1, p.H, *array.shape[1:])[_ORDER].reshape(array.shape)
            for array in (problem.state[f"{name}_l0"] for name in ARRAYS)
        )

        def rounded(node, most, levels):
            """To `levels` numbers up to `most`, from -most, or one step below it where their number is even."""
            most = np.asarray(most, np.float32)
            low, high = (ops.constant(bound) for bound in (-most * np.float32(levels // 2 / ((levels - 1) // 2)), most))
            return ops.fake_quantize(node, low, high, low, high, levels)

        def weights(matrix):
            return rounded(ops.constant(matrix[None]), spread * abs(matrix).max(axis=1, keepdims=True)[None], 255)

        x = ops.parameter([p.N, p.T, p.I], np.float32)
        h, c_0 = (ops.parameter([p.N, 1, p.H], np.float32) for _ in problem.states)
        most = max(1.0, float(abs(problem.x).max()))  # h is within 1
        sequence = ops.lstm_sequence(
            rounded(x, most, 256), rounded(h, most, 256), c_0, ops.constant(np.full(p.N, p.T, np.int32)),
            weights(w), weights(u), ops.constant((b + c)[None]), p.H, "forward",
        )  # fmt: skip
        return self.openvino.Model(sequence.outputs(), [x, h, c_0])


def _recurrent(compiled):
    """What the compiled model says of its recurrent operations."""
    nodes = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    return [node for node in nodes if node["layerType"].value.startswith("RNN")]
