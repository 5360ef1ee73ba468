"""Who takes part, whether each is right, and the times."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bench.c.goals import CELLS, EXPORTED, KERNEL, RTNEURAL, RTNEURAL_SIZES
from bench.c.kernel import Kernel
from bench.common import timing
from cgru.judge import beside, host
from cgru.judge.exported import Exported
from cgru.judge.points import Point

ADAPTER = Path(__file__).resolve().parent / "rtneural.cc"
COMMON = ("-std=c++17", "-DNDEBUG", "-DEIGEN_STACK_ALLOCATION_LIMIT=0", "-O3")
NATIVE, FAST, AVX2 = "-march=native", "-ffast-math", "-march=haswell"
#: Of each backend the flags that were the fastest for some size, of -march=native and -march=haswell with and without
#: -ffast-math: its sums are not vectorised without it in plain C++, and 512 bits do not suit xsimd's small sizes.
FLAGS = {
    "plain C++": ((NATIVE, FAST),),
    "Eigen": tuple((*flags, "-DRTNEURAL_USE_EIGEN=1") for flags in ((NATIVE,), (NATIVE, FAST))),
    "xsimd": tuple((*flags, "-DRTNEURAL_USE_XSIMD=1") for flags in ((NATIVE, FAST), (AVX2, FAST))),
}
TOLERANCE = 1e-5


class _Runner:
    """A participant of the judge; as a runner of `bench.common.timing`."""

    def __init__(self, one, call):
        self._one, self.call = one, call

    def sample(self, calls, count):
        return self._one.sample(calls, count)


def rtneural(options):
    """RTNeural by backend: its name -> contestants, one for each set of flags; and why others are missing."""
    found, missing = {}, {}
    if options.rtneural is None:
        return found, {RTNEURAL: "its source was not given: --rtneural PATH"}
    paths = {"plain C++": options.rtneural, "Eigen": options.eigen, "xsimd": options.xsimd}
    for backend, path in paths.items():
        if path is None:
            missing[f"{RTNEURAL}, {backend}"] = f"its headers were not given: --{backend.lower()} PATH"
            continue
        include = [str(folder) for folder in dict.fromkeys((options.rtneural, path))]
        found[f"{RTNEURAL}, {backend}"] = [
            host.Contestant.of(ADAPTER, flags=(*COMMON, *flags), include=include) for flags in FLAGS[backend]
        ]
    return found, missing


def compile_all(contestants, sizes, jobs, progress):
    """Compile every contestant for every shape, several at once: nothing is timed meanwhile."""
    tasks = [
        (one, host.Shape(cell, size, size))
        for cell in CELLS for size in sizes if size in RTNEURAL_SIZES for ones in contestants.values() for one in ones
    ]  # fmt: skip

    def compiled(task):
        with contextlib.suppress(host.BuildError):  # it is said when the contestant is asked
            task[0].build(task[1])
        progress()

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(compiled, tasks))
    return len(tasks)


def measure_point(cell, size, contestants, budget, rounds):
    """Check, then time in turn: the exported layer, cgru's kernel, and RTNeural's backends by the fastest flags."""
    problem = beside.Problem(Point(1, 1, size, size, cell))
    everybody = {EXPORTED: [Exported()], **(contestants if size in RTNEURAL_SIZES else {})}
    runners, errors, failures, ways = {}, {}, {}, {}
    for name, ones in everybody.items():
        right = []
        for one in ones:
            child = beside.Child(one, name)
            try:
                error = child.start(problem)
            except (beside.Skipped, host.BuildError) as reason:
                failures[name] = str(reason)
                continue
            if not error <= TOLERANCE:
                failures[name] = f"off by {error:.1e}"
                continue
            errors[name] = max(error, errors.get(name, 0.0))
            right.append(_Runner(child, child.label))
        if right:
            runners[name], ways[name] = timing.fastest(right)
    kernel = Kernel(problem)
    try:
        y = np.stack([kernel.step(k) for k in range(beside.CHECKED)])
        errors[KERNEL] = problem.error(y[:, None])
        runners[KERNEL] = _Runner(kernel, "stream_step of cgru.h")
        times = timing.interleave(runners, budget, rounds=rounds)
    finally:
        kernel.close()
    return {
        "cell": cell,
        "H": size,
        "medians": {name: one["median"] for name, one in times.items()},
        "contestants": {
            name: one | {"error": errors[name], "call": runners[name].call, "ways": ways.get(name, {})}
            for name, one in times.items()
        },
        "failures": failures,
    }
