"""Contestants, and what comes of running one in a child process: nothing it does ends this process.

The program that runs it is host.c. A crash, a hang, an exit and a write outside its outputs are verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cgru.cells import CELLS
from cgru.judge import child
from cgru.judge.build import NULL, BuildError
from cgru.judge.child import MEASURE, Problem
from cgru.judge.contestant import ANY, Contestant, Shape

__all__ = ["BuildError", "Contestant", "Failed", "Problem", "Result", "Shape", "measure", "null", "run", "run_all"]

TIMEOUT = 20.0              # seconds for each problem


@dataclass(frozen=True, eq=False)
class Result:
    """What came of a problem.

    Attributes
    ----------
    verdict : str
        "ok", "refused" (make gave NULL, reset not 0, no run), "crashed" by a signal, "hung", "exited",
        "wrote outside", "read outside" (past an array's end, or an array that is gone), "disturbed" (a state or
        another instance changes what it must not), "changed mode" (of the processor's floating point; asked by safe
        alone), or "sanitizer".
    detail : str
        One line.
    y : ndarray, (T, N, H), or None
        What it gave, NaN where it wrote nothing, if the verdict is "ok".
    """

    verdict: str
    detail: str = ""
    y: np.ndarray | None = None


class Failed(RuntimeError):
    """A contestant that could not be measured; its attribute ``result`` says why."""

    def __init__(self, result):
        super().__init__(f"{result.verdict}: {result.detail}")
        self.result = result


def null() -> Contestant:
    """The contestant that only copies.

    Raises
    ------
    BuildError
        There is no C compiler.
    """
    return Contestant.of(NULL)


def run(
    contestant, layer, cell, x, h_0, c_0=None, *, reset_after=True, way="step", sanitize=False, timeout=TIMEOUT,
) -> Result:  # fmt: skip
    """Have a contestant compute a layer.

    Parameters
    ----------
    contestant : Contestant
    layer : mapping of str to ndarray
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 as PyTorch has them; biases may be left out.
    cell : {"gru", "lstm", "rnn"}
    x : ndarray, (T, N, I)
    h_0, c_0 : ndarray, (N, H)
        c_0 of an LSTM alone.
    reset_after : bool
        Of a GRU.
    way : {"step", "run"}
        Step by step, or all steps in one call.
    sanitize : bool
        Build it with sanitizers.
    timeout : float
        Seconds.

    Returns
    -------
    Result

    Raises
    ------
    BuildError
        It cannot be built, or lacks a function.
    ValueError
        Arrays do not fit together.
    """
    problem = Problem(layer, cell, x, h_0, c_0, reset_after, way)
    return run_all(contestant, [problem], sanitize=sanitize, timeout=timeout)[0]


def run_all(contestant, problems, *, sanitize=False, timeout=TIMEOUT, each=None, most=None) -> list[Result]:
    """`run` of many: as few processes as its crashes allow.

    Parameters
    ----------
    contestant : Contestant
    problems : sequence of Problem
    sanitize : bool
    timeout : float
        Seconds for each problem.
    each : callable, optional
        Called with the number of problems that are done.
    most : int, optional
        After so many that did not come to their end, or one that hung, the rest is "not asked".

    Returns
    -------
    list of Result

    Raises
    ------
    BuildError
        It cannot be built, or lacks a function.
    ValueError
        Arrays do not fit together.
    """
    return [Result(*found) for found in _solve(contestant, problems, sanitize, timeout, each, most)]


def measure(
    contestant, layer, cell, x, h_0, c_0=None, *, calls, samples, instances=1, way="step", reset_after=True,
    timeout=120.0,
):  # fmt: skip
    """Time a contestant's calls, in the child process.

    Parameters
    ----------
    contestant, layer, cell, x, h_0, c_0, reset_after
        As for `run`.
    calls : int
        Calls of a sample, between two readings of the clock.
    samples : int
    instances : int
        Models of the same layer, each with its own state, that are called in turn.
    way : {"step", "run"}
        A call is a step, through the steps of x in turn, or a run over all of x.
    timeout : float
        Seconds for all of it.

    Returns
    -------
    ndarray, (samples,)
        Nanoseconds for each call.

    Raises
    ------
    Failed
        It was not measured: refused, crashed, ...
    BuildError, ValueError
        As `run`.
    """
    counts = {"calls": calls, "samples": samples, "instances": instances}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be 1 or more; got {count}")
    problem = Problem(layer, cell, x, h_0, c_0, reset_after, way, MEASURE, instances, calls, samples)
    found = _solve(contestant, [problem], False, timeout, None, None)[0]
    if found.verdict != "ok":
        raise Failed(Result(found.verdict, found.detail))
    return found.numbers


def _solve(contestant, problems, sanitize, timeout, each, most):
    """A contestant whose sizes are fixed is asked shape by shape."""
    problems = [_checked(problem) for problem in problems]
    found: list = [None] * len(problems)
    groups: dict[Shape, list[int]] = {}
    for number, problem in enumerate(problems):
        shape = Shape(problem.cell, problem.x.shape[2], problem.h_0.shape[1])
        groups.setdefault(shape if contestant.fixed else ANY, []).append(number)
    done = 0
    ends = 0
    for shape, numbers in groups.items():
        if most is not None and ends >= most:
            for number in numbers:
                found[number] = child.NOT_ASKED
            continue
        try:
            program = contestant.build(shape, sanitize)
        except BuildError as error:
            if not contestant.fixed:
                raise
            answers = [child.Found("refused", error.reason, None)] * len(numbers)
        else:
            facts, answers = child.solve(
                program, [problems[number] for number in numbers], timeout=timeout, library=contestant.library,
                sanitize=sanitize, most=None if most is None else most - ends,
                each=each and (lambda count, done=done: each(done + count)),
            )  # fmt: skip
            if facts.trouble:
                raise BuildError(f"{contestant.path.name} {facts.trouble}")
            contestant.facts(facts)
        for number, answer in zip(numbers, answers, strict=True):
            found[number] = answer
        ends += child.strikes(answers, most)
        done += len(numbers)
    return found


def _checked(problem):
    """Arrays of float32 that fit together."""
    if problem.cell not in CELLS:
        raise ValueError(f"cell must be one of {', '.join(CELLS)}; got {problem.cell!r}")
    cell = CELLS[problem.cell]
    if problem.way not in ("step", "run"):
        raise ValueError(f"way must be 'step' or 'run'; got {problem.way!r}")
    x, h_0 = (np.ascontiguousarray(array, np.float32) for array in (problem.x, problem.h_0))
    if x.ndim != 3 or h_0.ndim != 2 or len(h_0) != x.shape[1] or not x.size or not h_0.size:
        raise ValueError(f"x must be (T, N, I) and h_0 (N, H), none of them 0; got {x.shape} and {h_0.shape}")
    c_0 = problem.c_0
    if c_0 is not None:
        c_0 = np.ascontiguousarray(c_0, np.float32)
    if (c_0 is not None) != (len(cell.states) == 2) or (c_0 is not None and c_0.shape != h_0.shape):
        raise ValueError(f"c_0 goes with an LSTM, in the shape of h_0; got {None if c_0 is None else c_0.shape}")
    rows, H = cell.stacked * h_0.shape[1], h_0.shape[1]
    expected = {
        "weight_ih_l0": (rows, x.shape[2]), "weight_hh_l0": (rows, H), "bias_ih_l0": (rows,), "bias_hh_l0": (rows,),
    }  # fmt: skip
    layer = {name: np.ascontiguousarray(array, np.float32) for name, array in problem.layer.items()}
    for name, shape in expected.items():
        if name in layer and layer[name].shape != shape:
            raise ValueError(f"{name} must have the shape {shape}; got {layer[name].shape}")
        if name not in layer and name.startswith("weight"):
            raise ValueError(f"{name} is missing; got {', '.join(layer)}")
    return replace(problem, layer=layer, x=x, h_0=h_0, c_0=c_0)
