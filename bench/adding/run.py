"""The adding problem: how far back can an RNN, a GRU and an LSTM learn to look? Trained by cgru alone.

    python bench/adding.py              the recorded run: T = 50 and 150, three seeds, two processes
    python bench/adding.py --lengths 20 --steps 500 --seeds 1

A sequence holds T random numbers in [0, 1]; two of them are marked, one in each half. Only after the last
step is the sum of these two asked for. To answer 1 whatever comes gives a mean squared error of 1/6; to do
better, the gradient must reach back over T/2 to T steps. (Hochreiter and Schmidhuber, "Long short-term
memory", 1997; in this form Le, Jaitly and Hinton, "A simple way to initialize recurrent networks of rectified
linear units", 2015.)

Each network is one layer with a linear read-out, as PyTorch draws it, trained with Adam on the squared error,
on new sequences in every step: the same sequences for all networks of one seed. The gradients are cgru's
`backward`.
"""

import argparse
import json
import multiprocessing
import sys
import time
from dataclasses import asdict
from pathlib import Path

import environment
from adding_problem import NETWORKS, RATES, SOLVED, TESTS, Settings, train


def _start_worker(counter):
    global _done
    _done = counter


def _job(arguments):
    def count(steps):
        with _done.get_lock():
            _done.value += steps

    return train(*arguments, count)


def run_all(jobs, workers, show):
    """Train all jobs, each the arguments of `train`; `show` is called with the steps done so far."""
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    with context.Pool(workers, _start_worker, (counter,)) as pool:
        found = pool.map_async(_job, jobs, chunksize=1)
        while not found.ready():
            found.wait(0.5)
            show(counter.value)
        return found.get()


def progress_bar(total):
    """Show the steps done on a terminal; a callable for `run_all`, and one that removes the bar."""
    if sys.stderr.isatty():
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            bar = tqdm(total=total, unit="step", leave=False)
            return (lambda done: bar.update(done - bar.n)), bar.close
    return (lambda done: None), (lambda: None)


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
    parser.add_argument(
        "--output", type=Path, default=Path("bench-results"), metavar="DIR",
        help="where adding.json and adding.png go (default: ./bench-results)",
    )  # fmt: skip
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
    """Train, print, write the results and the picture; returns the exit status."""
    options = arguments(argv)
    settings = Settings(options.hidden_size, options.steps, rate=options.rate)
    machine = environment.describe(1)
    start = time.perf_counter()
    jobs = [
        (network, length, seed, settings)
        for length in sorted(options.lengths, reverse=True)
        for network in reversed(NETWORKS)  # the slowest first
        if network in options.networks
        for seed in range(options.seeds)
    ]
    show, close = progress_bar(len(jobs) * settings.steps)
    try:
        runs = run_all(jobs, options.workers, show)
    finally:
        close()
    runs.sort(key=lambda run: (run["length"], NETWORKS.index(run["network"]), run["seed"]))
    print("\n".join(table(runs)))
    rates = RATES if options.rate is None else dict.fromkeys(NETWORKS, options.rate)
    results = {
        "made_by": "bench/adding.py", "problem": "adding problem, mean squared error; 1/6 by answering 1",
        "settings": asdict(settings)
        | {"rate": rates, "tests": TESTS, "solved_below": SOLVED, "workers": options.workers},
        "seconds": round(time.perf_counter() - start, 1),
        "machine": machine | {"load_average_after": environment.load_average()},
        "versions": versions(), "runs": runs,
    }  # fmt: skip
    write(results, options.output)
    return 0


def versions():
    """Versions of what computes."""
    from importlib.metadata import version

    import cgru

    return {"cgru": cgru.__version__} | {name: version(name) for name in ("numpy", "scipy")}


def write(results, directory):
    """Write adding.json, one line per run, and adding.png where there is matplotlib."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "adding.json"
    rest = {name: value for name, value in results.items() if name != "runs"}
    lines = ",\n".join("  " + json.dumps(run) for run in results["runs"])
    path.write_text(json.dumps(rest, indent=1)[:-2] + f',\n "runs": [\n{lines}\n ]\n}}\n', encoding="utf-8")
    print(f"wrote {path}")
    try:
        import adding_plot
    except ImportError as error:
        print(f"no picture: {error}")
    else:
        print(f"wrote {adding_plot.draw(results, directory / 'adding.png')}")


if __name__ == "__main__":
    environment.ensure_clean(1)
    sys.exit(main())
