"""Jitter of single steps: every step timed by itself."""

import numpy as np

from bench.common import timing
from bench.common.problem import Problem
from cgru.judge.points import Point

TAKE_PART = ("cgru packed", "cgru blas", "ONNX Runtime", "PyTorch")
POINT = Point(1, 1, 64, 64)
BLOCK = 2_000
WARM = 50


def measure(contestants, steps=200_000):
    """Every step by itself: the distribution of single calls.

    The contestants take turns in blocks of BLOCK steps, each after WARM untimed ones. The
    garbage collector stays on, as it is for a user. A time includes one reading of the clock
    (`clock_ns`); nothing is subtracted.

    Parameters
    ----------
    contestants : dict of str to contestant
    steps : int
        For each contestant.

    Returns
    -------
    dict
        ``steps``, ``clock_ns``, and for each contestant p50, p99, p99.9 and max in nanoseconds.
    """
    problem = Problem(POINT)
    runners = {name: timing.fastest(one.runners(problem))[0] for name, one in contestants.items()}
    taken = {name: [] for name in runners}
    order = np.random.default_rng(0)
    block = min(BLOCK, steps)
    for _ in range(steps // block):
        for name in order.permutation(list(runners)).tolist():
            runners[name].single(WARM)
            taken[name].append(runners[name].single(block))
    clock = timing.PythonRunner("pass", "None", dict, 1).single(20_000)
    found = {
        "point": POINT.key,
        "steps": steps // block * block,
        "clock_ns": float(np.median(clock)),
        "contestants": {},
    }
    for name, blocks in taken.items():
        every = np.concatenate(blocks)
        p50, p99, p999 = (float(v) for v in np.percentile(every, [50, 99, 99.9], method="higher"))
        found["contestants"][name] = {
            "p50": p50,
            "p99": p99,
            "p99.9": p999,
            "max": float(every.max()),
            "call": runners[name].call,
        }
    return found
