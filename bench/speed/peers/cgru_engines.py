"""cgru itself, an engine each."""

import contextlib
import io
from typing import ClassVar

import numpy as np

from bench.common.contestant import Contestant
from bench.common.timing import PythonRunner


class Cgru(Contestant):
    """cgru itself. A step is a stream's step; a sequence is a call of the model."""

    engine = ""

    def load(self):
        import cgru

        self.cgru = cgru
        self.version = cgru.__version__
        probe = {"weight_ih_l0": np.zeros((3, 1), np.float32), "weight_hh_l0": np.zeros((3, 1), np.float32)}
        found = cgru.GRU.from_state_dict(probe, engine=self.engine).engine
        if found != self.engine:
            raise ImportError(f"cgru has no engine {self.engine} here, but {found}")

    def runners(self, problem):
        gru = self.cgru.GRU.from_state_dict(problem.state, engine=self.engine)
        if problem.point.is_step:
            return self._steps(gru, problem)
        more = "" if self.threads == 1 else f", threads={self.threads}"

        def prepare():
            return {
                "gru": gru,
                "x": problem.x,
                "h_0": problem.h_0[None],
                "y": np.empty_like(problem.expected, dtype=np.float32),
            }

        return [
            PythonRunner(f"y, h_n = gru(x, h_0{more})", "y", prepare, 1),
            PythonRunner(f"y, h_n = gru(x, h_0, out=y{more})", "y", prepare, 1),
        ]

    def _steps(self, gru, problem):
        calls = problem.check_calls

        def prepare():
            return {"gru": gru, "x": problem.x, "h": problem.h_0[None]}

        def prepare_stream():
            stream = gru.stream(hx=problem.h_0)
            return {"step": stream.step, "x": problem.x[0, 0], "out": np.empty(gru.hidden_size, np.float32)}

        return [
            PythonRunner("y, h = gru(x, h)", "y", prepare, calls),
            PythonRunner("y = step(x)", "y[None, None]", prepare_stream, calls),
            PythonRunner("step(x, out=out)", "out[None, None]", prepare_stream, calls),
        ]


class CgruPacked(Cgru):
    """The engine that `engine="auto"` takes for float32."""

    name, engine = "cgru packed", "packed"
    style: ClassVar = {"color": "#D55E00", "linewidth": 2.6, "marker": "o", "markersize": 5, "zorder": 5}


class CgruBlas(Cgru):
    """The engine on SciPy's BLAS."""

    name, engine = "cgru blas", "blas"
    style: ClassVar = {"color": "#E69F00", "linewidth": 1.6, "marker": "o", "markersize": 3.5, "zorder": 4}


def cgru_config():
    """What `cgru.show_config()` prints (version, instruction set, engines, BLAS), or None."""
    try:
        import cgru

        with contextlib.redirect_stdout(io.StringIO()) as said:
            cgru.show_config()
    except (ImportError, AttributeError):
        return None
    return said.getvalue()
