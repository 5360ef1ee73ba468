"""Sliding windows of LSTM networks from Python, on one core: what an answer costs, and what the whole window costs.

    python bench/scale/windows.py                             the three shapes, some fifteen minutes; prints
    python bench/scale/windows.py --shapes A --seconds 0.2    a check
    python bench/scale/windows.py --isa x86-64-v3             as on a processor with AVX2 and without VNNI

LSTM_A-, LSTM_B- and LSTM_C-shaped networks with random weights. README.md beside this file has the goals and says what
is measured. ``run.py --parts windows --record`` keeps the results of this CPU, with those of the other parts.
"""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

from bench.common import environment, progress, results

SHAPES = "ABC"
SECONDS = 5.0


def arguments(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--shapes", type=letters, metavar="A,B,C", help="which of them (default: all)")
    parser.add_argument("--seconds", type=float, help=f"for each contestant of each shape (default: {SECONDS:g})")
    parser.add_argument("--isa", metavar="NAME", help="hold cgru to an instruction set such as x86-64-v3")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write results.json and the picture there")
    parser.add_argument("--record", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.record:
        parser.error("--record is for run.py, which keeps all parts in one file: run.py --parts windows --record")
    if options.seconds is not None and not options.seconds > 0:
        parser.error(f"--seconds must be above 0, got {options.seconds}")
    options.shapes = options.shapes or list(SHAPES)
    options.seconds = options.seconds or SECONDS
    return options


def letters(text):
    """The shapes that "A,C" names, in their order."""
    named = [name.strip().upper().removeprefix("LSTM_") for name in text.split(",")]
    strange = [name for name in named if name not in tuple(SHAPES)]
    if strange:
        raise argparse.ArgumentTypeError(f"there is no shape {strange[0]!r}; there are {', '.join(SHAPES)}")
    return sorted(set(named))


def main(argv=None):
    """Measure, print, write what is asked for; 1 where a goal is missed, unless it was a run of some shapes only."""
    options = arguments(argv)
    from bench.scale import windows_goals, windows_measure, windows_report

    found = header(options)
    bar = progress.bar(len(options.shapes) * windows_measure.ROUNDS, unit="round")
    for letter in options.shapes:
        bar.set_description(f"LSTM_{letter}-shaped")
        found["shapes"].append(windows_measure.measure(letter, options.seconds, say=print, tick=bar.update))
    bar.close()
    found["machine"]["load_average_after"] = environment.load_average()
    found["goals"] = windows_goals.evaluate(found["shapes"], found["int8"], forced=bool(options.isa))
    print("\n".join(windows_report.lines(found)))
    if options.output is not None:
        for path in write(found, options.output):
            print(f"wrote {path}")
    whole = options.shapes == list(SHAPES) and options.seconds >= SECONDS
    return int(whole and any(goal["met"] is False for goal in found["goals"]))


def header(options):
    """What the results file says of the run before anything is measured."""
    import os
    from importlib.metadata import PackageNotFoundError, version

    import cgru
    from bench.scale import windows_goals, windows_measure

    versions = {"cgru": cgru.__version__}
    for name in ("numpy", "onnxruntime", "onnx"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "date": results.now(),
        "what": "a sliding window of T samples over LSTM layers and Linear 1, from Python, one thread; ns",
        "machine": environment.describe(threads=1),
        "cpus": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "isa": cgru.engines.isa(),
        "int8": windows_goals.products(),
        "versions": versions,
        "seconds": options.seconds,
        "clock_ns": windows_measure.clock(),
        "shapes": [],
    }


def write(found, folder):
    """Write results.json, and windows.png where there is Matplotlib; the paths."""
    written = [results.write(found, folder)]
    try:
        from bench.scale import windows_plot
    except ImportError as error:
        print(f"no picture: {error}")
        return written
    return [*written, windows_plot.draw(found, folder / "windows.png")]


if __name__ == "__main__":
    environment.ensure_clean(threads=1, bound=True, isa=arguments(sys.argv[1:]).isa)
    sys.exit(main())
