"""cgru itself, an engine each."""

import contextlib
import io
from typing import ClassVar

import numpy as np

from bench.common.contestant import Absent, Contestant
from bench.common.timing import PythonRunner


class Cgru(Contestant):
    """cgru itself. A step is a stream's step; a sequence is a call of the model."""

    engine = ""
    peer = False

    def load(self):
        import cgru

        self.cgru = cgru
        self.version = cgru.__version__
        probe = {"weight_ih_l0": np.zeros((3, 1), np.float32), "weight_hh_l0": np.zeros((3, 1), np.float32)}
        found = cgru.GRU.from_state_dict(probe, engine=self.engine).engine
        if found != self.engine:
            raise ImportError(f"cgru has no engine {self.engine} here, but {found}")

    def model(self, problem):
        """The model of a problem on this engine."""
        kind = {"gru": self.cgru.GRU, "lstm": self.cgru.LSTM, "rnn": self.cgru.RNN}[problem.point.cell]
        return kind.from_state_dict(problem.state, engine=self.engine)

    def runners(self, problem):
        model = self.model(problem)
        hx = problem.states if problem.point.cell == "lstm" else problem.states[0]
        if problem.point.is_step:
            return self._steps(model, hx, problem)
        more = "" if self.threads == 1 else f", threads={self.threads}"

        def prepare():
            return {
                "model": model,
                "x": problem.x,
                "hx": hx,
                "y": np.empty_like(problem.expected, dtype=np.float32),
            }

        return [
            PythonRunner(f"y, h_n = model(x, hx{more})", "y", prepare, 1),
            PythonRunner(f"y, h_n = model(x, hx, out=y{more})", "y", prepare, 1),
        ]

    def _steps(self, model, hx, problem):
        p, calls = problem.point, problem.check_calls

        def prepare():
            return {"model": model, "x": problem.x, "hx": hx}

        def prepare_stream():
            stream = model.stream(batch_size=p.N, hx=hx)
            return {"step": stream.step, "x": problem.x[0], "out": np.empty((p.N, p.H), np.float32)}

        def prepare_single():
            one = tuple(plane[:, 0] for plane in problem.states)
            stream = model.stream(hx=one if p.cell == "lstm" else one[0])
            return {"step": stream.step, "x": problem.x[0, 0], "out": np.empty(p.H, np.float32)}

        def steps(prepare, shape):
            return [
                PythonRunner("y = step(x)", f"y{shape}", prepare, calls),
                PythonRunner("step(x, out=out)", f"out{shape}", prepare, calls),
            ]

        whole = PythonRunner("y, hx = model(x, hx)", "y", prepare, calls)
        if p.directions == 2:  # a stream has one direction
            return [whole]
        return [whole, *(steps(prepare_single, "[None, None]") if p.N == 1 else steps(prepare_stream, "[None]"))]


class CgruPacked(Cgru):
    """The engine that `engine="auto"` takes for float32."""

    name, engine = "cgru packed", "packed"
    style: ClassVar = {"color": "#D55E00", "linewidth": 2.6, "marker": "o", "markersize": 5, "zorder": 5}


class CgruBlas(Cgru):
    """The engine on SciPy's BLAS."""

    name, engine = "cgru blas", "blas"
    style: ClassVar = {"color": "#E69F00", "linewidth": 1.6, "marker": "o", "markersize": 3.5, "zorder": 4}


class CgruQuantised(CgruPacked):
    """The packed engine with quantised weights: `model.quantize`."""

    def load(self):
        super().load()
        if not hasattr(self.cgru.GRU, "quantize"):
            raise Absent("this cgru has no quantised weights")

    def model(self, problem):
        return super().model(problem).quantize(self.weight_dtype)


class CgruBfloat16(CgruQuantised):
    """Weights in bfloat16."""

    name, weight_dtype = "cgru bfloat16", "bfloat16"


class CgruInt8(CgruQuantised):
    """Weights in 8 bits, and inputs and states rounded to 8 bits row by row."""

    name, weight_dtype = "cgru int8", "int8"


def cgru_isa():
    """The instruction set in force, and all that are usable here, best first; None for a cgru that does not say."""
    try:
        from cgru import engines

        return {"name": engines.isa(), "usable": list(engines.isas_usable())}
    except (ImportError, AttributeError):
        return None


def cgru_config():
    """What `cgru.show_config()` prints (version, instruction set, engines, BLAS), or None."""
    try:
        import cgru

        with contextlib.redirect_stdout(io.StringIO()) as said:
            cgru.show_config()
    except (ImportError, AttributeError):
        return None
    return said.getvalue()
