"""OpenVINO."""

from typing import ClassVar

import numpy as np

from bench.common.contestant import Contestant
from bench.common.timing import PythonRunner
from bench.speed.peers.onnx_model import onnx_model, state_arrays, state_names
from bench.speed.peers.onnx_runtime import ROWS


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
        compiled, p, x = self._compiled(problem), problem.point, problem.x
        firsts, lasts = zip(*state_names(p), strict=True)
        tensor = self.openvino.Tensor

        def request(before, after, Y):
            one = compiled.create_infer_request()
            arrays = {"X": x, "Y": Y, **dict(zip(firsts, before, strict=True)), **dict(zip(lasts, after, strict=True))}
            for name, array in arrays.items():
                one.set_tensor(name, tensor(array, shared_memory=True))
            return one

        def prepare():
            ping = state_arrays(problem)
            pong = [np.empty_like(array) for array in ping]
            Y = np.empty((p.T, p.directions, p.N, p.H), np.float32)
            now, then = request(ping, pong, Y), request(pong, ping, Y)
            # OpenVINO's tensors do not keep the arrays whose memory they share: these names do.
            return {"infer": now.infer, "Y": Y, "now": now, "then": then, "keep": (x, ping, pong)}

        def prepare_call():
            feed = {"X": x, **dict(zip(firsts, state_arrays(problem), strict=True))}
            carried = tuple(zip(firsts, lasts, strict=True))
            return {"model": compiled, "feed": feed, "carried": carried, "Y": None}

        if not p.is_step:
            return [PythonRunner("infer(share_outputs=True)", ROWS, prepare, 1)]
        bound = "now.infer(share_outputs=True); now, then = then, now"
        plain = "out = model(feed, share_inputs=True); Y = out['Y']; feed.update({a: out[b] for a, b in carried})"
        return [
            PythonRunner(bound, ROWS, prepare, problem.check_calls),
            PythonRunner(plain, ROWS, prepare_call, problem.check_calls),
        ]
