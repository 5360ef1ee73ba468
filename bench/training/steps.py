"""One training step at every point: are the gradients right, how long does it take, over what the machine can do."""

from dataclasses import asdict

import numpy as np

from bench.common import cbuild, progress, timing
from bench.common.contestant import Absent
from bench.training import memory
from bench.training.contestants import CONTESTANTS, PEER
from bench.training.peak import Peaks, limit_ns
from cgru.judge.points import Point
from cgru.judge.probe import Probe

T = 100
TOLERANCE = 1e-4  # of an output or a gradient, relative to its largest entry; a wrong gate order is off by 0.1


def grid(cells, hidden_sizes, rows):
    """The points, as many inputs as hidden units each."""
    return [Point(T, N, H, H, cell) for cell in cells for H in hidden_sizes for N in rows]


def measure(options):
    """The part "steps": `cells`, `hidden_sizes`, `rows`, `threads` and `budget` (seconds for each) of the options.

    Returns
    -------
    dict
        ``T``, ``threads``, ``absent`` (who, by name and class, and why), ``no_limit`` (why, or None), and ``points``:
        see `measure_point`.
    """
    points = grid(options.cells, options.hidden_sizes, options.rows)
    found = {"T": T, "threads": options.threads, "absent": {}, "no_limit": None, "compiler": cbuild.compiler_version()}
    try:
        probe = Probe()
    except cbuild.NoCompiler as error:
        probe, found["no_limit"] = None, str(error)
    bar = progress.bar(len(points) * (1 + len(CONTESTANTS) * len(options.threads)), unit="tasks")
    found["points"] = []
    for point in points:
        bar.set_description(point.key)
        found["points"].append(measure_point(point, options.threads, options.budget, probe, found["absent"]))
        bar.update()
    bar.set_description("memory")
    grown = memory.measure(points, options.threads, lambda *who: label(*who) in found["absent"], bar.update)
    for (key, name, count), one in grown.items():
        at = next(line for line in found["points"] if line["key"] == key)
        at["contestants"][name][str(count)]["memory"] = one
    bar.close()
    return found


def label(name, cell):
    """Who is absent, in words: a contestant may lack one cell."""
    return f"{name} {cell.upper()}"


def measure_point(point, threads, budget, probe, absent):
    """All contestants with every number of threads, in turns, once their results agree.

    Returns
    -------
    dict
        ``key``, ``cell``, ``T``, ``N``, ``I``, ``H``; ``gflops`` and ``limit_ns`` by threads, empty without a probe;
        ``contestants``: name -> threads -> the `timing.summary`, ``disagreement`` with PyTorch.
    """
    jobs = {}
    for name, make in CONTESTANTS.items():
        try:
            jobs |= {(name, count): make(point, count) for count in threads}
        except Absent as reason:
            absent[label(name, point.cell)] = str(reason)
    errors = agree(jobs, point)
    peaks = Peaks(probe, threads) if probe else None
    runners = {f"{name}, {count}": job.runner() for (name, count), job in jobs.items()}
    times = timing.interleave(runners, budget, between=peaks.look if peaks else None)
    contestants = {}
    for name, count in jobs:
        one = times[f"{name}, {count}"] | {"disagreement": errors[name, count]}
        contestants.setdefault(name, {})[str(count)] = one
    gflops = peaks.gflops() if peaks else {}
    shape = {name: value for name, value in asdict(point).items() if name not in ("layers", "directions")}
    return {
        "key": point.key,
        **shape,
        "gflops": {str(count): rate for count, rate in gflops.items()},
        "limit_ns": {str(count): limit_ns(point, rate) for count, rate in gflops.items()},
        "contestants": contestants,
    }


def agree(jobs, point):
    """The disagreement of everybody with PyTorch, the smallest number of threads; SystemExit where it is too large."""
    first = jobs[min((who for who in jobs if who[0] == PEER), key=lambda who: who[1])]
    first.ready()
    expected = {name: value.copy() for name, value in first.step().items()}
    errors = {}
    for (name, count), job in jobs.items():
        job.ready()
        found = job.step()
        if found.keys() != expected.keys():
            raise SystemExit(f"{point.key}: {name} gives {sorted(found)}, {PEER} {sorted(expected)}")
        errors[name, count] = error = disagreement(found, expected)
        if not error <= TOLERANCE:
            raise SystemExit(f"{point.key}: {name}, threads {count}, and {PEER} differ by {error:.1e}")
    return errors


def disagreement(found, expected):
    """The largest error of any output or gradient, relative to the largest entry of that array; NaN where one is."""
    return float(np.max([np.abs(found[name] - value).max() / np.abs(value).max() for name, value in expected.items()]))
