"""OpenVINO."""

from typing import ClassVar

import numpy as np

from bench.common.contestant import Contestant
from bench.common.timing import PythonRunner
from bench.speed.peers.onnx_model import onnx_model


class OpenVino(Contestant):
    """OpenVINO on the CPU with the latency hint: an infer request on ready tensors, no copies."""

    name, distribution = "OpenVINO", "openvino"
    style: ClassVar = {"color": "#CC79A7", "linewidth": 1.6, "marker": "^", "markersize": 4}

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
