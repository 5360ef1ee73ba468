"""Who is timed: a contestant in a process of its own, and beside it, from Python, cgru itself and ONNX Runtime."""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.activations import plain
from cgru.cells import CELLS, GRU
from cgru.judge import host
from cgru.judge.cases import run as float64_run
from cgru.judge.exported import Exported
from cgru.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from cgru.judge.points import Point

CHECKED = 4     # steps whose outputs are compared with float64
STEPS = 64      # different inputs of a point that is stepped


class Skipped(Exception):
    """Somebody does not do a point; the message says why."""


class Hung(Skipped):
    """A contestant that did not end in time."""


class Problem:
    """Weights, inputs and the right answer of a point.

    Attributes
    ----------
    point : Point
    weights : dict of str to ndarray
        PyTorch's names, float32, uniform within 1 / sqrt(H) as PyTorch draws them.
    x : ndarray
        (T, N, I), standard normal; of a point of one step (STEPS, N, I), which are taken in turn.
    states : list of ndarray
        (layers * directions, N, H) each, zeros: h_0, and of an LSTM c_0. Not every contestant starts elsewhere.
    """

    def __init__(self, point: Point) -> None:
        self.point = point
        rng = np.random.default_rng([point.T, point.N, point.I, point.H])
        self.weights = point.draw_weights(rng)
        steps = STEPS if point.is_step else point.T
        self.x = rng.standard_normal((steps, point.N, point.I)).astype(np.float32)
        shape = (point.layers * point.directions, point.N, point.H)
        self.states = [np.zeros(shape, np.float32) for _ in CELLS[point.cell].states]

    def model(self) -> Any:
        """The layers as cgru has them."""
        kind: Any = Model.classes[self.point.cell]
        return kind.from_state_dict(self.weights)

    def error(self, y: np.ndarray) -> float:
        """Largest difference from float64 of the first steps (steps, N, H), of the last row; one layer only."""
        cell, row = CELLS[self.point.cell], slice(-1, None)
        reset_after = True if cell is GRU else None
        expected, _ = float64_run(
            cell, self.weights, self.x[: len(y), row], [plane[0, row] for plane in self.states], None,
            plain(cell.functions), reset_after=reset_after, z_keeps=reset_after,
        )  # fmt: skip
        return float(abs(y[:, row] - expected).max())


class Child:
    """A contestant, timed inside its own process.

    Parameters
    ----------
    contestant : Contestant or Exported
    name : str
    """

    python = False

    def __init__(self, contestant: Any, name: str) -> None:
        self.name, self._given = name, contestant
        self._way, self._steps = "step", 1

    def start(self, problem: Problem) -> float | None:
        """Make it ready for a problem; its error, None where its outputs are none (the null contestant).

        Raises
        ------
        Skipped
            It has not several layers or directions, refuses the layer, or fails.
        """
        self._problem, point = problem, problem.point
        if point.is_stack:
            raise Skipped("more than one layer or direction, which cgru_judge.h does not have")
        if isinstance(self._given, Exported):
            self._contestant = self._given.of_layer(problem.weights, point.cell)
        else:
            self._contestant = self._given
        found = host.run(self._contestant, problem.weights, point.cell, problem.x[:CHECKED], *self._states())
        if found.verdict != "ok":
            raise _skipped(found)
        # a sequence by the contestant's own run, or else step by step
        self._way = "run" if not point.is_step and self._contestant.has_run else "step"
        self._steps = point.T if self._way == "step" else 1
        assert found.y is not None
        return problem.error(found.y)

    @property
    def label(self) -> str:
        """How it was built."""
        return self._contestant.label

    def _states(self):
        return [plane[0] for plane in self._problem.states]

    def sample(self, calls: int, samples: int, instances: int = 1) -> np.ndarray:
        """Nanoseconds a call, `samples` times, each the mean of `calls` calls.

        Raises
        ------
        Skipped
            It failed.
        """
        try:
            times = host.measure(
                self._contestant, self._problem.weights, self._problem.point.cell, self._problem.x, *self._states(),
                calls=calls * self._steps, samples=samples, instances=instances, way=self._way,
            )  # fmt: skip
        except host.Failed as error:
            raise _skipped(error.result) from error
        return times * self._steps

    def close(self) -> None:
        """Nothing is kept."""


def _skipped(result):
    """Why nothing is timed."""
    kind = Hung if result.verdict == "hung" else Skipped
    return kind(f"{result.verdict}: {result.detail}" if result.detail else result.verdict)


class Null(Child):
    """The contestant that only copies: what is timed of it is the harness."""

    def start(self, problem: Problem) -> None:
        """As a contestant's, but its outputs are not looked at."""
        super().start(problem)


class _InPython:
    """Somebody that is called from Python; `_call(k)` gives the function of the k-th input."""

    python = True
    _calls: list[Callable[[], Any]]

    def sample(self, calls: int, samples: int) -> np.ndarray:
        """As of `Child`; the call from Python, about 50 ns and more, is in it."""
        times, clock, functions = np.empty(samples, np.int64), time.perf_counter_ns, self._calls
        for k in range(samples):
            call = functions[k % len(functions)]
            start = clock()
            for _ in repeat(None, calls):
                call()
            times[k] = clock() - start
        return times / calls

    def close(self) -> None:
        """Let go of the model."""
        self._calls = []


class Cgru(_InPython):
    """cgru itself: a stream's step, or a call of the model."""

    name = "cgru"

    def start(self, problem: Problem) -> float | None:
        """Make the model and its stream."""
        point, x = problem.point, problem.x
        model = problem.model()
        y = np.empty((*x.shape[:2], point.H * point.directions), np.float32)
        if point.is_step and point.directions == 1:
            single = point.N == 1
            step = (model.stream() if single else model.stream(point.N)).step
            frames, out = list(x[:, 0] if single else x), y[0, 0] if single else y[0]
            self._calls = [partial(step, frame, out=out) for frame in frames]
        else:
            self._calls = [partial(model, x, out=y)]
        return None if point.is_stack else problem.error(model(x[:CHECKED])[0])


class OnnxRuntime(_InPython):
    """ONNX Runtime with one thread, its inputs and outputs bound to arrays, the state going from call to call."""

    name = "ONNX Runtime"

    def __init__(self) -> None:
        import onnxruntime

        self._runtime = onnxruntime

    def _session(self, problem):
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "model.onnx")
            problem.model().to_onnx(path)
            return self._runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def start(self, problem: Problem) -> float | None:
        """Make the session, and bind two sets of states that take turns."""
        point, session = problem.point, self._session(problem)
        ping = [plane.copy() for plane in problem.states]
        pong = [plane.copy() for plane in problem.states]
        steps = len(problem.x)
        x = [problem.x[k : k + 1] for k in range(steps)] if point.is_step else [problem.x, problem.x]
        self._y = np.empty((len(x[0]), point.N, point.H * point.directions), np.float32)
        bound = []
        for k, frame in enumerate(x):
            binding = session.io_binding()
            binding.bind_cpu_input("x", frame)
            for letter, before, after in zip("hc", (ping, pong)[k % 2], (pong, ping)[k % 2], strict=False):
                binding.bind_cpu_input(f"{letter}_0", before)
                binding.bind_output(f"{letter}_n", "cpu", 0, np.float32, after.shape, after.ctypes.data)
            binding.bind_output("y", "cpu", 0, np.float32, self._y.shape, self._y.ctypes.data)
            bound.append(binding)
        self._calls = [partial(session.run_with_iobinding, binding) for binding in bound]
        self._keep = x, ping, pong
        return None if point.is_stack else problem.error(self._outputs())

    def _outputs(self):
        if len(self._y) > 1:
            self._calls[0]()
            return self._y[:CHECKED].copy()
        found = []
        for call in self._calls[:CHECKED]:
            call()
            found.append(self._y[0].copy())
        return np.stack(found)


def peers() -> tuple[list[Any], dict[str, str]]:
    """cgru and, where it is installed, ONNX Runtime; and why anybody is missing."""
    found: list[Any] = [Cgru()]
    try:
        import onnx  # noqa: F401, to_onnx needs it

        found.append(OnnxRuntime())
    except ImportError as error:
        return found, {OnnxRuntime.name: f"not installed ({error.name})"}
    return found, {}
