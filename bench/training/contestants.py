"""Who takes a training step: PyTorch's `nn.GRU` and `nn.LSTM`, cgru, and PyTorch's autograd around cgru.

A contestant is a function of a point and a number of threads that gives a `Job`. Each imports its library only when it
is asked, so that a process that measures memory holds what its contestant needs. A new contestant is a function and a
line in `CONTESTANTS`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.common.contestant import Absent
from bench.common.timing import PythonRunner

PEER, CGRU, BRIDGE = "PyTorch", "cgru", "cgru.torch"
CLASSES = {"gru": "GRU", "lstm": "LSTM"}


@dataclass(frozen=True)
class Job:
    """A training step of one contestant at one point.

    Attributes
    ----------
    step : callable
        Takes one step and returns its outputs and gradients by name, float32 arrays.
    ready : callable
        Called before steps are timed, not timed itself: sets the number of threads where that is of the process.
    """

    step: Callable
    ready: Callable = lambda: None

    def runner(self):
        """For `bench.common.timing`."""
        return _Runner(self)


class _Runner(PythonRunner):
    def __init__(self, job):
        super().__init__("step()", "None", lambda: {"step": job.step}, 1)
        self._ready, self._timed = job.ready, self.sample
        self.sample = self._sample

    def _sample(self, calls, count):
        self._ready()
        return self._timed(calls, count)


@dataclass(frozen=True)
class Problem:
    """What everybody gets at a point: x (T, N, I), the initial state and dL/dy, float32; PyTorch's parameters.

    L is the sum of y * dy over all steps, rows and units, with dy fixed: a loss whose gradient costs nothing.
    """

    x: np.ndarray
    states: dict  # h_0, and an LSTM's c_0, (1, N, H)
    dy: np.ndarray
    parameters: dict


def problem(point):
    """The same for the same point."""
    rng = np.random.default_rng([point.T, point.N, point.I, point.H])
    names = ("h_0", "c_0") if point.cell == "lstm" else ("h_0",)
    parameters = point.draw_weights(rng)
    x = rng.standard_normal((point.T, point.N, point.I), np.float32)
    states = {name: rng.standard_normal((1, point.N, point.H), np.float32) for name in names}
    return Problem(x, states, rng.standard_normal((point.T, point.N, point.H), np.float32), parameters)


def cgru_job(point, threads):
    """Record and backward."""
    import cgru

    given = problem(point)
    x, dy, of_state = given.x, given.dy, given.states
    model = getattr(cgru, CLASSES[point.cell]).from_state_dict(given.parameters)
    hx = tuple(of_state.values()) if point.cell == "lstm" else of_state["h_0"]
    del given  # nor its parameters: memory is counted

    def step():
        y, final, tape = model.record(x, hx, threads=threads)
        grads = model.backward(tape, dy, threads=threads)
        states = {name: getattr(grads, name) for name in of_state}
        return {"y": y, **_finals(final), "x": grads.x, **states, **grads}

    return Job(step)


def torch_job(point, threads):
    """PyTorch as its users call it: the module, autograd, oneDNN where PyTorch takes it by itself."""
    import torch

    return _module_job(torch, getattr(torch.nn, CLASSES[point.cell]), point, threads)


def bridge_job(point, threads):
    """The same code with cgru's module; Absent where `cgru.torch` has none for this cell."""
    import torch

    import cgru.torch

    module = getattr(cgru.torch, CLASSES[point.cell], None)
    if module is None:
        raise Absent(f"this version has no cgru.torch.{CLASSES[point.cell]}")
    return _module_job(torch, module, point, threads)


def _module_job(torch, kind, point, threads):
    given = problem(point)
    module = kind(point.I, point.H)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in given.parameters.items()})
    x, dy = torch.from_numpy(given.x).requires_grad_(), torch.from_numpy(given.dy)
    states = {name: torch.from_numpy(value).requires_grad_() for name, value in given.states.items()}
    hx = tuple(states.values()) if point.cell == "lstm" else states["h_0"]
    del given
    leaves = {"x": x, **states, **dict(module.named_parameters())}

    def step():
        for leaf in leaves.values():
            leaf.grad = None
        y, final = module(x, hx)
        y.backward(dy)
        found = {name: tensor.detach().numpy() for name, tensor in {"y": y, **_finals(final)}.items()}
        return found | {name: leaf.grad.numpy() for name, leaf in leaves.items()}

    return Job(step, lambda: torch.set_num_threads(threads))


def _finals(final):
    return dict(zip(("h_n", "c_n"), final if isinstance(final, tuple) else (final,), strict=False))


CONTESTANTS = {CGRU: cgru_job, BRIDGE: bridge_job, PEER: torch_job}
OWN = (CGRU, BRIDGE)  # whom the goals are of
