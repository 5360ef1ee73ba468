"""ONNX Runtime."""

from typing import ClassVar

import numpy as np

from bench.common.contestant import Contestant
from bench.common.timing import PythonRunner
from bench.speed.peers.onnx_model import onnx_model


class OnnxRuntime(Contestant):
    """ONNX Runtime on the CPU: `run` with a dictionary, or IO binding to ready buffers if that is faster."""

    name, distribution = "ONNX Runtime", "onnxruntime"
    style: ClassVar = {"color": "#0072B2", "linewidth": 1.6, "marker": "s", "markersize": 3.5}

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
