"""Training: one step of a GRU and an LSTM at the limit, and a whole run of a small language model, against PyTorch.

    python bench/training/run.py                    both parts, some ten minutes; prints
    python bench/training/run.py --record           and keeps the results
    python bench/training/run.py --text             the language model only; --steps: the steps only
    python bench/training/run.py --steps --hidden-sizes 64 128 --rows 32
    python bench/training/run.py --quick            a check: few points, few steps
    python bench/training/run.py --report DIR       stored results once more

README.md beside this file has the goals and says what is measured.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

from bench.common import environment, results

PARTS = ("steps", "text")
# option: (type, usual, with --quick, what it is); a list takes several values
SIZES = {
    "cells": (str, ["gru", "lstm"], ["gru", "lstm"], "cells of the steps"),
    "hidden_sizes": (int, [32, 64, 128, 256, 512], [16, 32], "H of the steps, as many inputs"),
    "rows": (int, [8, 32, 128], [8], "N of the steps"),
    "threads": (int, None, None, "numbers of threads of the steps; the most of them train the language model"),
    "budget": (float, 0.8, 0.01, "seconds for each contestant at each point"),
    "text_steps": (int, 200, 6, "steps of the language model, with each optimizer"),
}


def arguments(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name in PARTS:
        parser.add_argument(f"--{name}", action="append_const", dest="parts", const=name, help="this part only")
    parser.add_argument("--quick", action="store_true", help="few points, few steps: a check, no record")
    for name, (kind, usual, quick, what) in SIZES.items():
        text = f"{what} (default: {words(usual)}; with --quick {words(quick)})"
        several = {"nargs": "+"} if name not in ("budget", "text_steps") else {}
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, metavar="CELL" if kind is str else "N", help=text, **several
        )
    parser.add_argument("--report", type=Path, metavar="DIR", help="measure nothing: print and plot DIR/results.json")
    parser.add_argument("--memory-of", metavar="JSON", help=argparse.SUPPRESS)  # a child process of this script
    results.add_arguments(parser)
    options = parser.parse_args(argv)
    changed = [f"--{name.replace('_', '-')}" for name in SIZES if getattr(options, name) is not None]
    changed += ["--quick"] * options.quick
    if options.record and changed:
        parser.error(f"--record keeps whole parts: it does not go with {changed[0]}")
    if options.report and not (options.report / "results.json").is_file():
        parser.error(f"--report {options.report}: there is no results.json in it")
    complete(options, parser)
    return options


def words(value):
    """A default for the help."""
    return "1 and 2" if value is None else " ".join(map(str, value)) if isinstance(value, list) else f"{value:g}"


def complete(options, parser):
    """Fill in what was not given, and refuse what cannot be."""
    options.parts = [name for name in PARTS if not options.parts or name in options.parts]
    for name, (_, usual, quick, _) in SIZES.items():
        given = getattr(options, name)
        if given is None:
            setattr(options, name, quick if options.quick else usual)
        elif name == "cells" and not set(given) <= set(usual):
            parser.error(f"--cells must be of gru and lstm, got {' '.join(given)}")
        elif name != "cells" and not all(value > 0 for value in (given if isinstance(given, list) else [given])):
            parser.error(f"--{name.replace('_', '-')} must be above 0, got {words(given)}")
    cores = environment.cores()
    if options.threads is None:
        options.threads = [count for count in (1, 2) if count <= cores]
    elif max(options.threads) > cores:
        parser.error(f"--threads {words(options.threads)}: this process may use {cores} processors")
    for name in ("cells", "hidden_sizes", "rows", "threads"):
        setattr(options, name, sorted(set(getattr(options, name))))


def main(argv=None):
    """Run, print, write what is asked for; 1 where a goal is missed (not of a quick run)."""
    options = arguments(argv)
    if options.memory_of:
        return of_memory(json.loads(options.memory_of))
    from bench.training import goals, report

    if options.report:
        found, folder = read(options.report), options.report
    else:
        folder = results.folder(options, __file__)
        found = run(options, stored(folder))
    found["goals"] = goals.evaluate(found["parts"])
    print("\n".join(report.lines(found)))
    if folder is not None:
        write(found, folder, again=bool(options.report))
    missed = any(goal["met"] is False for goal in found["goals"])
    return int(missed and not options.quick)


def stored(folder):
    """The parts that are in a folder: a run replaces those that it measures, and keeps the others."""
    if folder is None or not (folder / "results.json").is_file():
        return {}
    return read(folder)["parts"]


def read(folder):
    """The results of a folder; SystemExit where they are of another form, as records were before there were parts."""
    found = results.read(folder)
    if "parts" not in found:
        raise SystemExit(f"{folder / 'results.json'} is a record of another form: move it away, and measure anew")
    return found


def run(options, before):
    """Measure the parts, in this process."""
    found = {"what": "training: a step, and a language model", "parts": dict(before)}
    for name in options.parts:
        print(f"measuring {name} ...", flush=True)
        header = {"date": results.now(), "machine": environment.describe(threads=1), "versions": versions()}
        part = steps_part(options) if name == "steps" else text_part(options)
        header["machine"]["load_average_after"] = environment.load_average()
        found["parts"][name] = header | part
    return found


def steps_part(options):
    from bench.training import steps

    return steps.measure(options)


def text_part(options):
    from bench.common import progress
    from bench.training import language

    bar = progress.bar(options.text_steps * len(language.OPTIMIZERS), unit="steps")
    found = language.measure(options.text_steps, max(options.threads), bar.update)
    bar.close()
    return found


def versions():
    """Of what takes part."""
    import numpy
    import scipy
    import torch

    import cgru

    return {module.__name__: module.__version__ for module in (cgru, numpy, scipy, torch)}


def of_memory(said):
    """What a child process does: print the growth of its memory."""
    from bench.training import memory
    from cgru.judge.points import Point

    print(json.dumps(memory.of_this_process(Point(**said["point"]), said["name"], said["threads"])))
    return 0


def write(found, folder, again):
    """Write results.json (unless it is read again), and the pictures where there is Matplotlib."""
    if not again:
        print(f"wrote {results.write(found, folder)}")
    try:
        from bench.training import plots
    except ImportError as error:
        print(f"no pictures: {error}")
        return
    for path in plots.draw(found["parts"], folder):
        print(f"wrote {path}")


if __name__ == "__main__":
    environment.ensure_clean(threads=1)  # of BLAS; PyTorch and cgru are told theirs
    sys.exit(main())
