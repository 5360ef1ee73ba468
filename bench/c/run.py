"""The C that cgru writes of a layer, a step at a time, against RTNeural and against cgru's own kernel.

    python bench/c/run.py --rtneural PATH --eigen PATH --xsimd PATH             some minutes, most of them compiling
    python bench/c/run.py --rtneural PATH --eigen PATH --xsimd PATH --record    and keeps the results
    python bench/c/run.py --quick                                               H = 8 and 64, short times

PATH: RTNeural's clone, the folder in which Eigen/Dense is, and xsimd's include. README.md beside this file has the
goals.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

from bench.common import environment, progress, results

QUICK = (8, 64)


def arguments(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name, what in {"rtneural": "RTNeural's source", "eigen": "Eigen's headers", "xsimd": "xsimd's headers"}.items():
        parser.add_argument(f"--{name}", type=Path, metavar="PATH", help=f"folder of {what}")
    parser.add_argument("--quick", action="store_true", help="a check, no record")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="for each contestant (default: 0.5)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at a time")
    results.add_arguments(parser)
    options = parser.parse_args(argv)
    if options.record and options.quick:
        parser.error("--record keeps whole runs: it does not go with --quick")
    for name in ("rtneural", "eigen", "xsimd"):
        path = getattr(options, name)
        if path is not None and not path.is_dir():
            parser.error(f"--{name}: there is no folder {path}")
    if options.budget is not None and not options.budget > 0:
        parser.error(f"--budget must be above 0, got {options.budget}")
    options.budget = options.budget or (0.02 if options.quick else 0.5)
    return options


def main(argv=None):
    """Compile, measure, print, write what is asked for; 1 where a goal is missed, unless it was a quick run."""
    options = arguments(argv)
    from bench.c import goals, measure

    sizes = [size for size in goals.sizes() if not options.quick or size in QUICK]
    contestants, missing = measure.rtneural(options)
    found = header(missing)
    shapes = sum(size in goals.RTNEURAL_SIZES for size in sizes) * len(goals.CELLS)
    bar = progress.bar(shapes * sum(map(len, contestants.values())) + len(sizes) * len(goals.CELLS), unit="steps")
    with environment.all_cpus():
        measure.compile_all(contestants, sizes, options.jobs, bar.update)
    for cell in goals.CELLS:
        for size in sizes:
            bar.set_description(f"{cell} H={size}")
            rounds = 3 if options.quick else 20
            found["points"].append(measure.measure_point(cell, size, contestants, options.budget, rounds))
            bar.update()
    bar.close()
    found["machine"]["load_average_after"] = environment.load_average()
    found["goals"] = goals.evaluate(found["points"])
    print("\n".join(table(found)))
    folder = results.folder(options, __file__)
    if folder is not None:
        print(f"wrote {results.write(found, folder)}")
    return int(not options.quick and any(goal["met"] is False for goal in found["goals"]))


def header(missing):
    """What the results file says of the run before anything is measured."""
    import cgru
    from bench.common import cbuild

    return {
        "date": results.now(),
        "what": "one step of one row, I = H, float32, the state going on; ns",
        "machine": environment.describe(threads=1),
        "compiler": cbuild.compiler_version(),
        "cgru": cgru.__version__,
        "missing": missing,
        "points": [],
    }


def table(found):
    """Yield the report, line by line."""
    names = list(dict.fromkeys(name for point in found["points"] for name in point["medians"]))
    yield f"{'a step, ns (error from float64)':32}" + "".join(f"{name:>22}" for name in names)
    for point in found["points"]:
        cells = []
        for name in names:
            one = point["contestants"].get(name)
            cells.append(f"{one['median']:.0f} ({one['error']:.0e})" if one else "-")
        yield f"{point['cell'].upper() + ' H=' + str(point['H']):32}" + "".join(f"{cell:>22}" for cell in cells)
        for name, reason in point["failures"].items():
            if name not in point["medians"]:
                yield f"    {name}: {reason}"
    yield from (f"{name}: MISSING, {reason}" for name, reason in found["missing"].items())
    words = {True: "pass", False: "MISS", None: "not measured"}
    for goal in found["goals"]:
        figure = "-" if goal["figure"] is None else f"{goal['figure']:.3f}"
        against = f" ({goal['against']})" if goal["against"] else ""
        yield f"{goal['goal']}: {figure}, at most {goal['at_most']}: {words[goal['met']]}{against}"
    spreads = sorted(one["spread"] for point in found["points"] for one in point["contestants"].values())
    yield f"spread of the rounds: median {spreads[len(spreads) // 2]:.2f}; above 0.1 no figure counts"


if __name__ == "__main__":
    environment.ensure_clean(threads=1, bound=True)
    sys.exit(main())
