"""How many streams one core holds at a tick of 10 ms, and what a pool's step costs beside a batch and a stream.

The rule: so many streams that the p99 of a tick, all of them stepped, is below TICK_MS.
"""

import gc
import time

import numpy as np

import cgru
from bench.common import progress
from bench.common.contestant import Absent
from bench.common.numpy_cells import numpy_model
from bench.common.timing import PythonRunner, interleave
from bench.scale.pools_contestants import WAYS, Problem

TICK_MS = 10.0
WIDTHS = 32, 64, 128, 256
TOLERANCE = 1e-5
FEW = 64  # streams that are compared, and that the first guess is from
CLOSE = 1.02  # the search ends where the bounds are that close
FEWER = 0.9  # at least, where a number did not hold
TURNS = 10  # of the last, interleaved measurement
COST_WIDTH, COST_LAYERS, COST_M = 128, 2, (32, 500)


def measure(options):
    """The part "pools": `tick_ms`, `ticks` of the search, `confirm` of the last measurement, and `budget`."""
    bar = progress.bar(len(WIDTHS) + 1, unit="size")
    found = {"tick_ms": options.tick_ms, "versions": {"cgru": cgru.__version__}, "absent": {}, "sizes": {}}
    for H in WIDTHS:
        bar.set_description(f"H={H}")
        found["sizes"][str(H)] = size(H, options, found["absent"])
        bar.update()
    found["cost"] = cost(options.budget)
    bar.close()
    return found


# ---- how many


def size(H, options, absent):
    """One H: every way's number of streams, found in a search of its own, then held against each other in turns."""
    capacities, ways = {}, {}
    for name in WAYS:
        try:
            check(name, H)
            most = search(name, H, options)
            capacities[name], ways[name] = most, WAYS[name](Problem(H, most))
        except Absent as reason:
            absent[name] = str(reason)
    found = {name: {} for name in ways}
    while not all(found.values()):
        open_ones = {name: ways[name].tick(capacities[name]) for name in ways if not found[name]}
        for name, ticks in in_turns(open_ones, options.confirm).items():
            p99 = percentile(ticks)
            if p99 < options.tick_ms or capacities[name] == 1:
                found[name] = {"streams": capacities[name], "median_ms": float(np.median(ticks)), "p99_ms": p99}
                found[name] |= {"max_ms": float(ticks.max()), "ticks": len(ticks), "held": p99 < options.tick_ms}
            else:  # what the search found did not hold: fewer
                capacities[name] = max(1, int(capacities[name] * min(0.99, max(FEWER, options.tick_ms / p99))))
    return {"I": H // 2, "ways": found}


def search(name, H, options):
    """The most streams whose ticks are short enough, within CLOSE: a first guess, by p95 over `ticks` ticks.

    A few ticks have no p99 that one could trust. It grows by what the last ticks leave, up to the first number that is
    too large, and then halves what is between.
    """
    most, good, bad = FEW, 0, None
    while True:
        ticks = timed(WAYS[name](Problem(H, most)).tick(most), options.ticks)
        p95 = percentile(ticks, 95)
        if p95 < options.tick_ms:
            good = most
            step = min(8.0, options.tick_ms / p95)
            most = int(good * max(CLOSE, step)) + 1 if bad is None else (good + bad) // 2
        else:
            bad = most
            most = (good + bad) // 2 if good else max(1, int(bad * options.tick_ms / p95 / 1.1))
        if bad is not None and (bad - good <= 1 or (good and bad <= CLOSE * good) or bad == 1):
            return max(1, good)


def timed(tick, count):
    """Milliseconds of each of so many ticks, back to back, after a tenth more that are not counted."""
    for _ in range(max(2, count // 10)):
        tick()
    clock, found = time.perf_counter_ns, np.empty(count)
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(count):
            start = clock()
            tick()
            found[number] = clock() - start
    finally:
        if collecting:
            gc.enable()
    return found / 1e6


def in_turns(ticks, count):
    """Name -> milliseconds of `count` ticks, taken in TURNS turns."""
    found = {name: [] for name in ticks}
    order = np.random.default_rng(0)
    for _ in range(TURNS):
        for name in order.permutation(list(ticks)).tolist():
            found[name].append(timed(ticks[name], max(1, count // TURNS)))
    return {name: np.concatenate(blocks) for name, blocks in found.items()}


def percentile(ticks, share=99):
    """The p99, or another: a tick that was measured, none between two."""
    return float(np.percentile(ticks, share, method="higher"))


def check(name, H, layers=1):
    """Right before fast: y of FEW of a few more streams after three ticks, against float64."""
    problem = Problem(H, FEW + 3, layers)
    way = WAYS[name](problem)
    tick = way.tick(FEW)
    for _ in range(3):
        tick()
    model = numpy_model("gru", problem.state, np.float64)
    y, _ = model(problem.x[:3, :FEW].astype(np.float64), (np.zeros((layers, FEW, H)),))
    error = float(np.abs(way.y(FEW) - y[-1]).max())
    if not error <= TOLERANCE:
        raise SystemExit(f"{name}, H={H}: differs from the truth by {error:.1e}")


# ---- what a step costs


def cost(budget):
    """A pool's step over the batch's, M of M streams; and a single one over a stream's.

    Returns
    -------
    dict
        "M": M -> ``pool``, ``batch`` (summaries, ns) and ``ratio``; "single" and, of a small model, "small": ``pool``
        (id an int), ``pool_row`` (ids of one), ``stream`` and ``over_ns``.
    """
    found = {"H": COST_WIDTH, "I": COST_WIDTH // 2, "layers": COST_LAYERS, "M": {}}
    for M in COST_M:
        problem = Problem(COST_WIDTH, M, COST_LAYERS)
        times = interleave(same_bits(of_many(problem), rows=True), budget)
        ratio = times["pool"]["median"] / times["batch"]["median"]
        found["M"][str(M)] = times | {"ratio": ratio}
    for name, width, layers in (("single", COST_WIDTH, COST_LAYERS), ("small", WIDTHS[0], 1)):
        times = interleave(same_bits(of_one(Problem(width, max(COST_M), layers))), budget)
        found[name] = times | {"over_ns": times["pool"]["median"] - times["stream"]["median"]}
    return found


def same_bits(runners, rows=False):
    """The runners, whose outputs must be those of the first, bit for bit."""
    first, *others = runners
    expected = runners[first].result()
    for name in others:
        if not np.array_equal(runners[name].result().reshape(expected.shape), expected):
            raise SystemExit(f"{name} gives other bits than {first}{' of as many rows' * rows}")
    return runners


def of_many(problem):
    """The batch's step, and the pool's of all M streams in another order than that of opening."""
    model, M, x = problem.model, problem.capacity, problem.x[0]
    y = np.empty((M, problem.H), np.float32)

    def pool():
        pool = model.pool(M)
        ids = np.array([pool.open() for _ in range(M)])[problem.ids]
        return {"step": pool.step, "ids": ids, "x": x, "y": y}

    return {
        "batch": PythonRunner("step(x, out=y)", "y", lambda: {"step": model.stream(M).step, "x": x, "y": y}, 3),
        "pool": PythonRunner("step(ids, x, out=y)", "y", pool, 3),
    }


def of_one(problem):
    """A stream's step, and that of one of a full pool, given as an int and as ids of one."""
    model, x = problem.model, problem.x[0, 0].copy()
    y = np.empty(problem.H, np.float32)

    def pool(**names):
        pool = model.pool(problem.capacity)
        opened = [pool.open() for _ in range(problem.capacity)]
        which = opened[problem.capacity // 2]
        return {"step": pool.step} | {name: value(which) for name, value in names.items()}

    def of_int():
        return pool(one=int, x=lambda _: x, y=lambda _: y)

    def of_row():
        return pool(ids=lambda which: np.array([which]), x=lambda _: x[None], y=lambda _: y[None])

    return {
        "stream": PythonRunner("step(x, out=y)", "y", lambda: {"step": model.stream().step, "x": x, "y": y}, 3),
        "pool": PythonRunner("step(one, x, out=y)", "y", of_int, 3),
        "pool_row": PythonRunner("step(ids, x, out=y)", "y", of_row, 3),
    }
