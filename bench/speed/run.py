"""cgru against its peers, its C baselines and the machine's limit, in one interleaved run.

    python bench/run.py                 everything, about ten minutes
    python bench/run.py --quick         five points and short extras, about a minute
    python bench/run.py --points 'T1-*' --peers onnx,numpy
    python bench/run.py --jitter        only the jitter of single steps

README.md beside this file says what is measured and what the figures mean.
"""

import argparse
import datetime
import fnmatch
import sys
import time
from pathlib import Path

import environment

TOLERANCE = 1e-5  # float32 results of different arithmetic, T <= 100; a wrong gate order is off by 0.1
CGRU_TOLERANCE = 2e-6  # cgru's own contract


def arguments(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="few points, short times: a check, no record")
    parser.add_argument(
        "--peers",
        default="all",
        metavar="NAMES",
        help="comma-separated parts of names (onnx, openvino, jax, torch, numpy, 'C '), "
        "or all, or none; cgru always runs",
    )
    parser.add_argument(
        "--points",
        default="*",
        metavar="GLOBS",
        help="comma-separated patterns of points, such as 'T1-*,T100-N32-*-H256'",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads for everybody but the C baselines")
    parser.add_argument(
        "--budget",
        type=float,
        default=None,
        metavar="SECONDS",
        help="time for each contestant at each point (default 0.4; 0.1 with --quick)",
    )
    parser.add_argument("--jitter", action="store_true", help="only the jitter run")
    parser.add_argument("--no-extras", action="store_true", help="leave out jitter, second thread, import")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("bench-results"),
        metavar="DIR",
        help="where results.json and the plots go (default: ./bench-results)",
    )
    options = parser.parse_args(argv)
    if options.threads < 1:
        parser.error(f"--threads must be at least 1, got {options.threads}")
    options.budget = options.budget or (0.1 if options.quick else 0.4)
    return options


def gather(wanted, threads):
    """Contestants that are wanted and present.

    Returns
    -------
    contestants : dict of str to contestant
    missing : dict of str to str
        Why each other one is not there.
    """
    from importlib.metadata import PackageNotFoundError

    import baselines
    import cbuild
    import frameworks

    contestants, missing = {}, {}
    parts = [part.strip("\"'").lower() for part in wanted.split(",")]
    for kind in frameworks.PEERS + baselines.BASELINES:
        ours = issubclass(kind, frameworks.Cgru)
        if not ours and wanted != "all" and not any(part in kind.name.lower() for part in parts):
            continue
        try:
            contestants[kind.name] = kind(threads)
        except (ImportError, PackageNotFoundError) as error:
            missing[kind.name] = f"not installed: {error}"
        except cbuild.NoCompiler as error:
            missing[kind.name] = str(error)
        except (AttributeError, ValueError) as error:
            if not ours:
                raise
            missing[kind.name] = f"this cgru does not have it: {error}"
    return contestants, missing


def check(name, runner, problem, reference):
    """Compare one runner's y with float64 and with cgru's y; returns the record and y."""
    y = runner.result().reshape(problem.expected.shape)
    error = float(abs(y - problem.expected).max())
    record = {"error": error, "call": runner.call}
    worst, tolerance = error, CGRU_TOLERANCE if name.startswith("cgru") else TOLERANCE
    if reference is not None:
        record["difference_from_cgru"] = float(abs(y - reference).max())
        worst = max(worst, record["difference_from_cgru"])
    if not worst <= tolerance:  # NaN fails too
        record["mismatch"] = f"off by {worst:.1e}, tolerance {tolerance:.0e}"
    return record, y


def measure_point(point, contestants, budget, probe, progress=lambda: None):
    """Check, then time, every contestant on one point.

    Every way to call a contestant is checked; the fastest of the right ones is timed.
    """
    import timing
    from problem import Problem

    problem = Problem(point)
    records, runners, failures, reference = {}, {}, {}, None
    for name, contestant in contestants.items():
        right, ways = [], {}
        try:
            candidates = contestant.runners(problem)
            for runner in candidates:
                record, y = check(name, runner, problem, reference)
                if "mismatch" in record:
                    failures[name] = f"{runner.call}: {record['mismatch']}"
                else:
                    right.append((runner, record))
                    reference = y if reference is None and name.startswith("cgru") else reference
        except Exception as error:  # a peer's failure is a finding, not the end of the run
            failures[name] = f"{type(error).__name__}: {error}"
        if right:
            best, ways = timing.fastest([runner for runner, _ in right])
            runners[name] = best
            records[name] = next(record for runner, record in right if runner is best) | {"ways": ways}
    times = timing.interleave(runners, budget, progress=progress)
    result = {
        "key": point.key,
        "T": point.T,
        "N": point.N,
        "I": point.I,
        "H": point.H,
        "contestants": {name: times[name] | records[name] for name in runners},
        "failures": failures,
    }
    if probe is not None:
        result["limit"] = probe.limit(point)
    return result


def run_extras(options, contestants, bar):
    """Jitter, second thread and import cost, as far as cgru has what they need."""
    import extras

    found, failures = {}, {}
    steppers = {
        name: contestants[name]
        for name in ("cgru packed", "cgru blas", "ONNX Runtime", "PyTorch")
        if name in contestants
    }
    tasks = {"jitter": lambda: extras.jitter(steppers, 10_000 if options.quick else 200_000)}
    if not options.jitter:
        tasks["import"] = lambda: extras.import_cost(5 if options.quick else 21)
        if "cgru packed" in contestants:
            tasks["threads"] = lambda: extras.second_thread(0.2 if options.quick else 1.5)
    for name, task in tasks.items():
        bar.set_description(name)
        try:
            found[name] = task()
        except Exception as error:  # recorded: the rest of the run is worth keeping
            failures[name] = f"{type(error).__name__}: {error}"
        bar.update()
    return found, failures


class _Bar:
    """A tqdm bar on a terminal; silent otherwise."""

    def __new__(cls, total):
        if sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                pass
            else:
                return tqdm(total=total, leave=False)
        return super().__new__(cls)

    def update(self):
        """One piece of work is done."""

    def set_description(self, text):
        """Say what comes."""

    def close(self):
        """Take the bar away."""


def measure(options):
    """The whole run; returns what the results file holds."""
    import cbuild
    import frameworks
    import goals
    from probe import Probe
    from problem import GRID, QUICK

    patterns = [pattern.strip() for pattern in options.points.split(",")]
    points = (
        []
        if options.jitter
        else [
            point
            for point in (QUICK if options.quick else GRID)
            if any(fnmatch.fnmatch(point.key, pattern) for pattern in patterns)
        ]
    )
    contestants, missing = gather(options.peers, options.threads)
    results = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "budget_s": options.budget,
        "machine": environment.describe(options.threads),
        "compiler": cbuild.compiler_version(),
        "missing": missing,
        "points": [],
        "contestants": {name: one.version for name, one in contestants.items()},
        "cgru_config": frameworks.cgru_config(),
    }
    start = time.monotonic()
    bar = _Bar(len(points) + 4)
    try:
        probe = Probe()
        probe.measure()
    except cbuild.NoCompiler as error:
        probe, missing["limit"] = None, str(error)
    bar.update()
    for point in points:
        bar.set_description(point.key)
        results["points"].append(measure_point(point, contestants, options.budget, probe))
        bar.update()
    results["extras"], results["extras_failures"] = (
        ({}, {}) if options.no_extras else run_extras(options, contestants, bar)
    )
    bar.close()
    if probe is not None:
        probe.measure()  # once more: the best of before and after is the limit
        results["probe"] = probe.as_dict()
        for point, result in zip(points, results["points"], strict=True):
            result["limit"] = probe.limit(point)
    results["machine"]["load_average_after"] = environment.load_average()
    results["seconds"] = round(time.monotonic() - start)
    add_ratios(results)
    results["goals"] = goals.evaluate(results)
    return results


def add_ratios(results):
    """Add ``to_limit`` (time over the limit) and ``to_cgru`` (time over cgru packed) to every record."""
    for point in results["points"]:
        own = point["contestants"].get("cgru packed", {}).get("median")
        for record in point["contestants"].values():
            if "limit" in point:
                record["to_limit"] = record["median"] / point["limit"]["ns"]
            if own:
                record["to_cgru"] = record["median"] / own


def main(argv=None):
    """Run, print the report, write results.json and the plots. Exit status 1 if a contestant was wrong."""
    options = arguments(argv)
    environment.ensure_clean(options.threads)
    import report

    results = measure(options)
    print(report.text(results))
    for path in report.write(results, options.output):
        print(f"wrote {path}")
    return 1 if any(point["failures"] for point in results["points"]) or results["extras_failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
