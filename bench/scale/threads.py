"""Threads for one sequence: the directions of a layer, the layers of a stack, the rows of a batch, on two cores."""

import numpy as np

import cgru
from bench.common.environment import cores
from bench.common.timing import PythonRunner, interleave
from cgru.judge.points import Point

T, I, H = 1000, 64, 128  # noqa: E741
SHAPES = {
    "bidirectional": Point(T, 1, I, H, directions=2),
    "two layers": Point(T, 1, I, H, layers=2),
    "rows": Point(T, 32, I, H),
}
THREADS = 2


def measure(options):
    """The part "threads": `budget` of the options, seconds for one and for two threads at each shape."""
    found = {name: compare(point, options.budget) for name, point in SHAPES.items()}
    return {"versions": {"cgru": cgru.__version__}, "cores": cores(), "threads": THREADS, "shapes": found}


def compare(point, budget):
    """``one`` and ``two`` (summaries, ns a call), ``speedup`` and ``same_bits``."""
    rng = np.random.default_rng([point.T, point.N, point.H])
    model = cgru.GRU.from_state_dict(point.draw_weights(rng))
    x = rng.standard_normal((point.T, point.N, point.I), dtype=np.float32)

    def runner(threads):
        names = {"model": model, "x": x, "threads": threads}
        return PythonRunner("y, _ = model(x, threads=threads)", "y", lambda: names, 1)

    runners = {"one": runner(1), "two": runner(THREADS)}
    same = bool(np.array_equal(runners["one"].result(), runners["two"].result()))
    times = interleave(runners, budget)
    speedup = times["one"]["median"] / times["two"]["median"]
    return times | {"point": point.key, "speedup": speedup, "same_bits": same}
