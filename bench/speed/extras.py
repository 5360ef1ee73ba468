"""Measurements beside the grid: the gates, jitter of single steps, a second thread, the cost of `import cgru`."""

import statistics
import subprocess
import sys

import numpy as np

from bench.common import environment, timing
from bench.common.problem import Problem
from bench.speed import gates, jitter
from bench.speed.peers.cgru_engines import CgruPacked
from cgru.judge.points import Point

THREADS_POINT = Point(100, 32, 256, 256)

_IMPORT = "import time; t = time.perf_counter_ns(); import {}; print(time.perf_counter_ns() - t)"


def measure(options, contestants, probe, bar):
    """Gates, jitter, second thread and import cost; found by name, and failures by name."""
    found, failures = {}, {}
    steppers = {name: contestants[name] for name in jitter.TAKE_PART if name in contestants}
    tasks = {"jitter": lambda: jitter.measure(steppers, 10_000 if options.quick else 200_000)}
    if not options.jitter:
        tasks["import"] = lambda: import_cost(5 if options.quick else 21)
        if "cgru packed" in contestants:
            tasks["threads"] = lambda: second_thread(0.2 if options.quick else 1.5)
        if "cgru packed" in contestants and probe is not None:
            budget = 0.05 if options.quick else 0.3
            tasks["gates"] = lambda: gates.measure(contestants["cgru packed"], probe, budget)
    for name, task in tasks.items():
        bar.set_description(name)
        try:
            found[name] = task()
        except Exception as error:  # recorded: the rest of the run is worth keeping
            failures[name] = f"{type(error).__name__}: {error}"
        bar.update()
    return found, failures


def second_thread(budget=1.0):
    """Packed engine with threads=1 and threads=2, interleaved."""
    problem = Problem(THREADS_POINT)
    runners = {str(n): timing.fastest(CgruPacked(n).runners(problem))[0] for n in (1, 2)}
    same = all(np.array_equal(runners["1"].result(), runner.result()) for runner in runners.values())
    with environment.all_cpus():
        times = timing.interleave(runners, budget)
    return {
        "point": THREADS_POINT.key,
        "one": times["1"],
        "two": times["2"],
        "same_bits": same,
        "speedup": times["1"]["median"] / times["2"]["median"],
    }


def import_cost(runs=21):
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
    medians = {module: statistics.median(times) for module, times in taken.items()}
    return {
        "runs": runs,
        "numpy_ms": medians["numpy"],
        "cgru_ms": medians["cgru"],
        "over_numpy_ms": medians["cgru"] - medians["numpy"],
    }
