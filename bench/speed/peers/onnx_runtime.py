"""ONNX Runtime."""

from typing import ClassVar

import numpy as np

from bench.common import onnx_session
from bench.common.contestant import Contestant
from bench.common.timing import PythonRunner
from bench.speed.peers.onnx_model import onnx_model, state_arrays, state_names

ROWS = "Y.transpose(0, 2, 1, 3).reshape(len(Y), len(Y[0, 0]), -1)"  # (T, D, N, H) -> (T, N, D * H)


class OnnxRuntime(Contestant):
    """ONNX Runtime on the CPU: `run` with a dictionary, or IO binding to ready buffers if that is faster."""

    name, distribution = "ONNX Runtime", "onnxruntime"
    style: ClassVar = {"color": "#0072B2", "linewidth": 1.6, "marker": "s", "markersize": 3.5}

    def load(self):
        import onnx
        import onnxruntime  # noqa: F401

        self.version += f", onnx {onnx.__version__}"

    def _session(self, problem):
        return onnx_session.session(onnx_model(problem), self.threads)

    def runners(self, problem):
        session, p, x = self._session(problem), problem.point, problem.x
        firsts, lasts = zip(*state_names(p), strict=True)

        def bind(states, outputs):
            binding = session.io_binding()
            binding.bind_cpu_input("X", x)
            for name, array in zip(firsts, states, strict=True):
                binding.bind_cpu_input(name, array)
            for name, array in outputs.items():
                binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            return binding

        def prepare():
            feed = {"X": x, **dict(zip(firsts, state_arrays(problem), strict=True))}
            return {"run": session.run, "feed": feed, "names": ["Y"]}

        def prepare_bound():
            states, Y = state_arrays(problem), np.empty((p.T, p.directions, p.N, p.H), np.float32)
            binding = bind(states, {"Y": Y})
            return {"run": session.run_with_iobinding, "binding": binding, "Y": Y, "keep": states}

        if p.is_step:
            return self._steps(session, bind, problem, firsts, lasts)
        return [
            PythonRunner("Y, = run(names, feed)", ROWS, prepare, 1),
            PythonRunner("run(binding)", ROWS, prepare_bound, 1),
        ]

    def _steps(self, session, bind, problem, firsts, lasts):
        """Ways to step: the state goes out of one call and into the next. y is the last layer's h."""
        last_h = lasts.index(f"Yh_{problem.point.layers - 1}")

        def prepare():
            names = {"run": session.run, "x": problem.x, "names": list(lasts)}
            letters = ["h", "c"][: len(firsts)]
            return names | dict(zip(letters, state_arrays(problem), strict=True))

        def prepare_bound():
            ping = state_arrays(problem)
            pong = [np.empty_like(array) for array in ping]
            there = bind(ping, dict(zip(lasts, pong, strict=True))), pong[last_h]
            back = bind(pong, dict(zip(lasts, ping, strict=True))), ping[last_h]
            return {"run": session.run_with_iobinding, "now": there, "then": back}

        calls = problem.check_calls
        bound = PythonRunner("run(now[0]); now, then = then, now", "then[1]", prepare_bound, calls)
        if problem.point.is_stack:
            return [bound]
        states = {"gru": "h", "rnn": "h", "lstm": "h, c"}[problem.point.cell].split(", ")
        feed = ", ".join(f"'{name}': {state}" for name, state in zip(firsts, states, strict=True))
        plain = f"{', '.join(states)}{',' * (len(states) == 1)} = run(names, {{'X': x, {feed}}})"
        return [PythonRunner(plain, "h", prepare, calls), bound]
