"""The contestants that read an ONNX model: ONNX Runtime and OpenVINO."""

import numpy as np

from contestant import Contestant
from timing import PythonRunner


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


class OnnxRuntime(Contestant):
    """ONNX Runtime on the CPU: `run` with a dictionary, or IO binding to ready buffers if that is faster."""

    name, distribution = "ONNX Runtime", "onnxruntime"

    def load(self):
        import onnx
        import onnxruntime

        self.onnxruntime = onnxruntime
        self.version += f", onnx {onnx.__version__}"

    def _session(self, problem):
        options = self.onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = self.onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = self.onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        return self.onnxruntime.InferenceSession(
            onnx_model(problem), options, providers=["CPUExecutionProvider"]
        )

    def runners(self, problem):
        session, x, h_0 = self._session(problem), problem.x, problem.h_0[None]

        def prepare():
            names = {"run": session.run, "Y": ["Y"], "Y_h": ["Y_h"]}
            return names | {"feed": {"X": x, "H0": h_0}, "x": x, "h": h_0}

        def bind(h_in, out):
            binding = session.io_binding()
            binding.bind_cpu_input("X", x)
            binding.bind_cpu_input("H0", h_in)
            name = "Y_h" if problem.point.is_step else "Y"
            binding.bind_output(name, "cpu", 0, np.float32, out.shape, out.ctypes.data)
            return binding, out

        def prepare_step():
            ping, pong = h_0.copy(), np.empty_like(h_0)
            return {"run": session.run_with_iobinding, "now": bind(ping, pong), "then": bind(pong, ping)}

        def prepare_sequence():
            p = problem.point
            binding, out = bind(h_0, np.empty((p.T, 1, p.N, p.H), np.float32))
            return {"run": session.run_with_iobinding, "binding": binding, "out": out}

        if problem.point.is_step:
            calls = problem.check_calls
            return [
                PythonRunner("h, = run(Y_h, {'X': x, 'H0': h})", "h", prepare, calls),
                PythonRunner("run(now[0]); now, then = then, now", "then[1]", prepare_step, calls),
            ]
        return [
            PythonRunner("y, = run(Y, feed)", "y[:, 0]", prepare, 1),
            PythonRunner("run(binding)", "out[:, 0]", prepare_sequence, 1),
        ]


class OpenVino(Contestant):
    """OpenVINO on the CPU with the latency hint: an infer request on ready tensors, no copies."""

    name, distribution = "OpenVINO", "openvino"

    def load(self):
        import onnx  # noqa: F401 - the model is built with it
        import openvino

        self.openvino = openvino

    def _compiled(self, problem):
        core = self.openvino.Core()
        model = core.read_model(onnx_model(problem))
        return core.compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": self.threads,
                "NUM_STREAMS": 1,
                "INFERENCE_PRECISION_HINT": "f32",
                "ENABLE_CPU_PINNING": False,  # a pinned worker waits for whatever else is on its core
            },
        )

    def runners(self, problem):
        compiled, p = self._compiled(problem), problem.point
        tensor = self.openvino.Tensor
        x, h_0 = problem.x, problem.h_0[None]

        def request(h_in, h_out, y):
            one = compiled.create_infer_request()
            one.set_tensor("X", tensor(x, shared_memory=True))
            one.set_tensor("H0", tensor(h_in, shared_memory=True))
            one.set_tensor("Y", tensor(y, shared_memory=True))
            one.set_tensor("Y_h", tensor(h_out, shared_memory=True))
            return one, y

        def prepare():
            ping, pong = h_0.copy(), np.empty_like(h_0)
            y = np.empty((p.T, 1, p.N, p.H), np.float32)
            now, then = request(ping, pong, y), request(pong, ping, y)
            # OpenVINO's tensors do not keep the arrays whose memory they share: these names do.
            return {
                "infer": now[0].infer,
                "y": y,
                "now": now,
                "then": then,
                "x": x,
                "h": h_0.copy(),
                "model": compiled,
                "keep": (ping, pong),
            }

        if p.is_step:
            bound = "now[0].infer(share_outputs=True); now, then = then, now"
            plain = "h = model({'X': x, 'H0': h}, share_inputs=True)['Y_h']"
            return [
                PythonRunner(bound, "y[:, 0]", prepare, problem.check_calls),
                PythonRunner(plain, "h", prepare, problem.check_calls),
            ]
        return [PythonRunner("infer(share_outputs=True)", "y[:, 0]", prepare, 1)]
