"""OpenVINO."""

import os
from typing import ClassVar

import numpy as np

from bench.common.contestant import Absent, Contestant
from bench.common.numpy_cells import ARRAYS
from bench.common.timing import PythonRunner
from bench.speed.peers.onnx_model import onnx_model, state_arrays, state_names
from bench.speed.peers.onnx_runtime import ROWS

_ORDERS = {"gru": (1, 0, 2), "lstm": (1, 0, 2, 3), "rnn": (0,)}  # its gate order in PyTorch's: z, r, n and f, i, g, o


class OpenVino(Contestant):
    """OpenVINO on the CPU with the latency hint: an infer request on ready tensors, no copies.

    The model is the ONNX one; a step is also tried as its own cell operation, which has no axis of time.
    """

    name, distribution = "OpenVINO", "openvino"
    style: ClassVar = {"color": "#CC79A7", "linewidth": 1.6, "marker": "^", "markersize": 4}
    precision = "f32"

    def load(self):
        import onnx  # noqa: F401 - the model is built with it
        import openvino

        self.openvino = openvino
        self._core = openvino.Core()

    def _compiled(self, model):
        return self._core.compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": self.threads,
                "NUM_STREAMS": 1,
                "INFERENCE_PRECISION_HINT": self.precision,
                "ENABLE_CPU_PINNING": False,  # a pinned worker waits for whatever else is on its core
            },
        )

    def runners(self, problem):
        compiled, p, x = self._compiled(self._core.read_model(onnx_model(problem))), problem.point, problem.x
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
            *([] if p.is_stack else [self._cell(problem)]),
        ]

    def _cell(self, problem):
        """A step by its cell operation."""
        compiled, tensor, p = self._compiled(self._cell_model(problem)), self.openvino.Tensor, problem.point

        def request(before, after):
            one = compiled.create_infer_request()
            for i, array in enumerate([problem.x[0], *before]):
                one.set_input_tensor(i, tensor(array, shared_memory=True))
            for i, array in enumerate(after):
                one.set_output_tensor(i, tensor(array, shared_memory=True))
            return one, after[0]

        def prepare():
            ping = [plane[0].copy() for plane in problem.states]
            pong = [np.empty_like(array) for array in ping]
            return {"now": request(ping, pong), "then": request(pong, ping), "keep": (ping, pong)}

        call = f"now[0].infer(share_outputs=True); now, then = then, now  # {p.cell}_cell"
        return PythonRunner(call, "then[1][None]", prepare, problem.check_calls)

    def _cell_model(self, problem):
        from openvino import opset5 as ops

        p, order = problem.point, list(_ORDERS[problem.point.cell])
        w, r, b, c = (
            array.reshape(-1, p.H, *array.shape[1:])[order].reshape(array.shape)
            for array in (problem.state[f"{name}_l0"] for name in ARRAYS)
        )
        x = ops.parameter([p.N, p.I], np.float32)
        states = [ops.parameter([p.N, p.H], np.float32) for _ in problem.states]
        if p.cell == "gru":  # the candidate's two biases stay apart
            bias = np.concatenate([(b + c)[: 2 * p.H], b[2 * p.H :], c[2 * p.H :]])
            cell = ops.gru_cell(x, *states, w, r, bias, p.H, linear_before_reset=True)
        elif p.cell == "lstm":
            cell = ops.lstm_cell(x, *states, w, r, b + c, p.H)
        else:
            cell = ops.rnn_cell(x, *states, w, r, b + c, p.H, ["tanh"], [], [])
        return self.openvino.Model(cell.outputs(), [x, *states])


class OpenVinoBfloat16(OpenVino):
    """The same with the hint to compute in bfloat16: weights, inputs and states."""

    name, weight_dtype, precision, cells, stacks = "OpenVINO bfloat16", "bfloat16", "bf16", ("gru", "lstm"), False

    def load(self):
        super().load()
        if "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Absent("OpenVINO computes in bfloat16 only where the processor does")
        if os.environ.get("ONEDNN_MAX_CPU_ISA"):
            raise Absent("OpenVINO has no bfloat16 on the instruction set that its oneDNN is held to here")
