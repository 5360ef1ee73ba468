"""The run itself: who takes part, is each right, how long does each take, and what is the limit."""

import fnmatch
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError

import numpy as np

from bench.common import cbuild, environment, progress, results, timing
from bench.common.contestant import Absent
from bench.common.problem import Problem
from bench.speed import extras, goals, weights_goals
from bench.speed.grid import GRID, QUICK, WEIGHTS_GRID, WEIGHTS_QUICK
from bench.speed.peers import CONTESTANTS, WEIGHTS
from bench.speed.peers.cgru_engines import Cgru, cgru_config, cgru_isa
from cgru.judge import suites
from cgru.judge.probe import Probe

# By what weights are stored as. float32 results of different arithmetic, T <= 100; a wrong gate order is off by 0.1.
TOLERANCE = {"float32": 1e-5, "bfloat16": 0.05, "int8": 0.05}
CGRU_TOLERANCE = {"float32": 2e-6, "bfloat16": 6e-3, "int8": 2e-2}  # cgru's own, for T <= 100 and I, H <= 512


def measure(options):
    """The whole run; returns what the results file holds."""
    points = chosen_points(options)
    kinds, judge = (WEIGHTS, weights_goals) if options.weights else (CONTESTANTS, goals)
    contestants, missing = gather(options.peers, options.threads, kinds)
    found = header(options, contestants, missing)
    start = time.monotonic()
    bar = progress.bar(len(points) + 6, unit="points")
    probe = first_probe(missing, options.isa)
    bar.update()
    rounds = suites.ROUNDS if options.suite else timing.ROUNDS
    for point in points:
        bar.set_description(point.key)
        found["points"].append(measure_point(point, contestants, options.budget, probe, rounds))
        bar.update()
    if not options.suite:
        measure_again(points, found["points"], contestants, options.budget, bar, judge.doubtful)
    found["extras"], found["extras_failures"] = {}, {}
    if not (options.no_extras or options.suite or options.weights):
        found["extras"], found["extras_failures"] = extras.measure(options, contestants, probe, bar)
    bar.close()
    if probe is not None:
        probe.measure()  # once more: the best of before and after is what this machine can do
        found["probe"] = probe.as_dict()
    found["machine"]["load_average_after"] = environment.load_average()
    found["seconds"] = round(time.monotonic() - start)
    add_ratios(found)
    found["goals"] = [] if options.suite else judge.evaluate(found)
    return found


def chosen_points(options):
    """Points of the grid or of the suite that the options ask for."""
    if options.jitter:
        return []
    patterns = [pattern.strip() for pattern in options.points.split(",")]
    cells = [cell.strip().lower() for cell in options.cells.split(",")]
    whole, quick = (WEIGHTS_GRID, WEIGHTS_QUICK) if options.weights else (GRID, QUICK)
    grid = suites.SUITES[options.suite] if options.suite else quick if options.quick else whole
    return [
        point
        for point in grid
        if point.cell in cells
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns for name in (point.shape, point.key))
    ]


def gather(wanted, threads, kinds=CONTESTANTS):
    """Contestants that are wanted and present.

    Returns
    -------
    contestants : dict of str to contestant
    missing : dict of str to str
        Why each other one is not there.
    """
    contestants, missing = {}, {}
    parts = [part.strip("\"'").lower() for part in wanted.split(",")]
    for kind in kinds:
        ours = issubclass(kind, Cgru)
        if not ours and wanted != "all" and not any(part in kind.name.lower() for part in parts):
            continue
        try:
            contestants[kind.name] = kind(threads)
        except (ImportError, PackageNotFoundError) as error:
            missing[kind.name] = f"not installed: {error}"
        except (cbuild.NoCompiler, Absent) as error:
            missing[kind.name] = str(error)
        except (AttributeError, ValueError) as error:
            if not ours:
                raise
            missing[kind.name] = f"this cgru does not have it: {error}"
    return contestants, missing


def header(options, contestants, missing):
    """What the results file says of the run before anything is measured."""
    return {
        "date": results.now(),
        "quick": options.quick,
        "suite": options.suite,
        "weights": options.weights,
        "isa": {**(cgru_isa() or {"name": None, "usable": []}), "forced": options.isa is not None},
        "budget_s": options.budget,
        "machine": environment.describe(options.threads),
        "compiler": cbuild.compiler_version(),
        "missing": missing,
        "points": [],
        "contestants": {name: one.version for name, one in contestants.items()},
        "cgru_config": cgru_config(),
    }


def first_probe(missing, isa=None):
    """The machine's limits, measured once; None, and a word in `missing`, where there is no compiler.

    `isa`: of this instruction set of cgru's table instead of all that the processor has.
    """
    try:
        probe = Probe(isa)
    except cbuild.NoCompiler as error:
        missing["limit"] = str(error)
        return None
    probe.measure()
    return probe


def measure_point(point, contestants, budget, probe=None, rounds=timing.ROUNDS, seed=0):
    """Check, then time, every contestant on one point: the fastest of each one's right ways."""
    problem = Problem(point)
    records, runners, failures, reference = {}, {}, {}, None
    for name, contestant in contestants.items():
        if not contestant.takes(point):
            continue
        right, failure = right_ways(contestant, problem, reference)
        if failure:
            failures[name] = failure
        if right:
            runners[name], times = timing.fastest([runner for runner, _, _ in right])
            records[name] = next(record for runner, record, _ in right if runner is runners[name]) | {"ways": times}
            if reference is None and name.startswith("cgru"):
                reference = right[0][2]
    types = tuple(dict.fromkeys(["float32", *(contestants[name].weight_dtype for name in runners)]))
    watch = probe.watch(point, types) if probe else None
    times = timing.interleave(runners, budget, seed, rounds, between=watch.look if watch else None)
    return {
        "key": point.key,
        "shape": point.shape,
        **asdict(point),
        "contestants": {name: times[name] | records[name] for name in runners},
        "failures": failures,
        **({"limit": watch.limit(point)} if watch else {}),
        **({"limits": {one: watch.limit(point, one) for one in types[1:]}} if watch and types[1:] else {}),
    }


def measure_again(points, found, contestants, budget, bar, doubtful):
    """A second run of cgru and of those that `doubtful` names of a point: into the point's ``again``.

    Everything is made anew, so that its memory lies elsewhere.
    """
    for point, result in zip(points, found, strict=True):
        ahead = doubtful(result)
        if ahead:
            bar.set_description(f"{point.key} again")
            chosen = {name: contestants[name] for name in (goals.CGRU, *ahead)}
            result["again"] = measure_point(point, chosen, budget, seed=1)["contestants"]


def right_ways(contestant, problem, reference):
    """Ways to call a contestant that give the right answer, as (runner, record, y), and what was wrong or None."""
    right, failure, ours = [], None, contestant.name.startswith("cgru")
    try:
        for runner in contestant.runners(problem):
            record, y = check(contestant, runner, problem, reference)
            if "mismatch" in record:
                failure = f"{runner.call}: {record['mismatch']}"
                continue
            right.append((runner, record, y))
            if reference is None and ours:
                reference = y
    except Exception as error:  # a peer's failure is a finding, not the end of the run
        failure = f"{type(error).__name__}: {error}"
    return right, failure


def check(contestant, runner, problem, reference):
    """Compare one runner's y with float64, and a float32 one with cgru's y; returns the record and y."""
    y = runner.result().reshape(problem.expected.shape)
    difference, stored, p = y - problem.expected, contestant.weight_dtype, problem.point
    error = float(abs(difference).max())
    record = {"error": error, "rms": float(np.sqrt(np.mean(difference**2))), "call": runner.call}
    promised = contestant.name.startswith("cgru") and p.T <= 100 and max(p.I, p.H) <= 512 and not p.is_stack
    worst, tolerance = error, (CGRU_TOLERANCE if promised else TOLERANCE)[stored]
    if reference is not None:
        record["difference_from_cgru"] = float(abs(y - reference).max())
        worst = max(worst, record["difference_from_cgru"]) if stored == "float32" else worst
    if stored != "float32":
        record["weight_dtype"] = stored
    if not worst <= tolerance:  # NaN fails too
        record["mismatch"] = f"off by {worst:.1e}, tolerance {tolerance:.0e}"
    return record, y


def add_ratios(found):
    """Add ``to_limit`` and ``to_overlapped`` (time over the limits) and ``to_cgru`` to every record."""
    for point in found["points"]:
        own = point["contestants"].get(goals.CGRU, {}).get("median")
        for record in point["contestants"].values():
            if "limit" in point:
                limit = point["limits"][record["weight_dtype"]] if "weight_dtype" in record else point["limit"]
                record["to_limit"] = record["median"] / limit["ns"]
                record["to_overlapped"] = record["median"] / limit["overlapped_ns"]
            if own:
                record["to_cgru"] = record["median"] / own
