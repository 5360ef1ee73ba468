"""The adding problem: how far back can an RNN, a GRU and an LSTM learn to look? Trained by cgru alone.

    python bench/adding/run.py --record         T = 50 and 150, three seeds, two processes; keeps the results
    python bench/adding/run.py --lengths 20 --steps 500 --seeds 1

README.md beside this file has the problem, its sources and what the recorded results say.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

from bench.adding.settings import NETWORKS, RATES, SOLVED, TESTS, Settings
from bench.common import environment, progress, results


def arguments(argv):
    """Parse the command line."""
    default = Settings()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    lengths = {"type": int, "nargs": "+", "default": [50, 150], "metavar": "T", "help": "default: 50 150"}
    parser.add_argument("--lengths", **lengths)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, help="default: all")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=default.steps, help="default: %(default)s")
    parser.add_argument("--hidden-size", type=int, default=default.hidden_size, help="default: %(default)s")
    parser.add_argument("--rate", type=float, help="of Adam, for all (default: each its own)")
    results.add_arguments(parser)
    options = parser.parse_args(argv)
    if min(options.lengths) < 2:
        parser.error(f"--lengths must be at least 2, got {min(options.lengths)}")
    for name in ("seeds", "workers", "steps", "hidden_size"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, got {getattr(options, name)}")
    if options.rate is not None and not options.rate > 0:
        parser.error(f"--rate must be above 0, got {options.rate}")
    return options


def main(argv=None):
    """Train, print, write what is asked for; returns the exit status."""
    options = arguments(argv)
    from bench.adding import workers

    settings = Settings(options.hidden_size, options.steps, rate=options.rate)
    found = header(options, settings)
    start = time.perf_counter()
    jobs = [
        (network, length, seed, settings)
        for length in sorted(options.lengths, reverse=True)
        for network in reversed(NETWORKS)  # the slowest first
        if network in options.networks
        for seed in range(options.seeds)
    ]
    bar = progress.bar(len(jobs) * settings.steps, unit="step")
    try:
        runs = workers.run_all(jobs, options.workers, bar)
    finally:
        bar.close()
    found["seconds"] = round(time.perf_counter() - start, 1)
    found["machine"]["load_average_after"] = environment.load_average()
    found["runs"] = sorted(runs, key=lambda run: (run["length"], NETWORKS.index(run["network"]), run["seed"]))
    print("\n".join(table(found["runs"])))
    folder = results.folder(options, __file__)
    if folder is not None:
        write(found, folder)
    return 0


def header(options, settings):
    """What the results file says of the run before anything is trained."""
    from importlib.metadata import version

    import cgru

    rates = RATES if options.rate is None else dict.fromkeys(NETWORKS, options.rate)
    shared = {"rate": rates, "tests": TESTS, "solved_below": SOLVED, "workers": options.workers}
    return {
        "made_by": "bench/adding/run.py",
        "problem": "adding problem, mean squared error; 1/6 by answering 1",
        "date": results.now(),
        "settings": asdict(settings) | shared,
        "machine": environment.describe(1),
        "versions": {"cgru": cgru.__version__} | {name: version(name) for name in ("numpy", "scipy")},
    }


def table(runs):
    """Yield the outcome of every run as a line of text."""
    solved = f"below {SOLVED} at step"
    yield f"{'':5} {'T':>4} {'seed':>4} {'last error':>11} {solved:>20} {'seconds':>8}"
    for run in runs:
        solved = "never" if run["solved_at"] is None else str(run["solved_at"])
        yield (
            f"{run['network']:5} {run['length']:4d} {run['seed']:4d} {run['error'][-1]:11.5f} {solved:>20} "
            f"{run['seconds']:8.1f}"
        )


def write(found, folder):
    """Write results.json, and curves.png where there is Matplotlib."""
    print(f"wrote {results.write(found, folder, to_json)}")
    try:
        from bench.adding import plot
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"wrote {plot.draw(found, folder / 'curves.png')}")


def to_json(found):
    """Text of the results file, a line for each run."""
    rest = {name: value for name, value in found.items() if name != "runs"}
    lines = ",\n".join("  " + json.dumps(run) for run in found["runs"])
    return json.dumps(rest, indent=1)[:-2] + f',\n "runs": [\n{lines}\n ]\n}}\n'


if __name__ == "__main__":
    environment.ensure_clean(1)
    sys.exit(main())
