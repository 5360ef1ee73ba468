"""Measurements beside the grid: jitter of single steps, a second thread, the cost of `import cgru`."""

import statistics
import subprocess
import sys

import numpy as np

import frameworks
import timing
from problem import Point, Problem

JITTER_POINT = Point(1, 1, 64, 64)
JITTER_BLOCK = 2_000
JITTER_WARM = 50
THREADS_POINT = Point(100, 32, 256, 256)

_IMPORT = "import time; t = time.perf_counter_ns(); import {}; print(time.perf_counter_ns() - t)"


def jitter(contestants, steps=200_000, progress=lambda: None):
    """Every step by itself: the distribution of single calls.

    The contestants take turns in blocks of JITTER_BLOCK steps, each after JITTER_WARM untimed ones. The
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
    problem = Problem(JITTER_POINT)
    runners = {name: timing.fastest(one.runners(problem))[0] for name, one in contestants.items()}
    taken = {name: [] for name in runners}
    order = np.random.default_rng(0)
    block = min(JITTER_BLOCK, steps)
    for _ in range(steps // block):
        for name in order.permutation(list(runners)).tolist():
            runners[name].single(JITTER_WARM)
            taken[name].append(runners[name].single(block))
        progress()
    clock = timing.PythonRunner("pass", "None", dict, 1).single(20_000)
    found = {
        "point": JITTER_POINT.key,
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


def second_thread(budget=1.0, progress=lambda: None):
    """Packed engine with threads=1 and threads=2, interleaved."""
    problem = Problem(THREADS_POINT)
    runners = {str(n): timing.fastest(frameworks.CgruPacked(n).runners(problem))[0] for n in (1, 2)}
    same = all(np.array_equal(runners["1"].result(), runner.result()) for runner in runners.values())
    times = timing.interleave(runners, budget, progress=progress)
    return {
        "point": THREADS_POINT.key,
        "one": times["1"],
        "two": times["2"],
        "same_bits": same,
        "speedup": times["1"]["median"] / times["2"]["median"],
    }


def import_cost(runs=21, progress=lambda: None):
    """Time of `import numpy` and of `import cgru` (NumPy included), each in fresh interpreters in turn."""
    taken = {"numpy": [], "cgru": []}
    for run in range(runs + 1):
        for module, times in taken.items():
            command = [sys.executable, "-P", "-c", _IMPORT.format(module)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"import {module} failed: {done.stderr.strip().splitlines()[-1]}")
            if run:  # the first fills the file cache
                times.append(int(done.stdout) / 1e6)
        progress()
    medians = {module: statistics.median(times) for module, times in taken.items()}
    return {
        "runs": runs,
        "numpy_ms": medians["numpy"],
        "cgru_ms": medians["cgru"],
        "over_numpy_ms": medians["cgru"] - medians["numpy"],
    }
