"""cgru against its peers, its C baselines and the machine's limit, in one interleaved run.

    python bench/speed/run.py --record                  everything, about ten minutes; keeps the results
    python bench/speed/run.py --quick                   five points of each cell and short extras, about a minute
    python bench/speed/run.py --cells lstm --points 'T1-*' --peers onnx,numpy
    python bench/speed/run.py --suite audio             shapes that others have published figures for
    python bench/speed/run.py --weights --record        weights in bfloat16 and int8, about ten minutes
    python bench/speed/run.py --jitter                  only the jitter of single steps
    python bench/speed/run.py --report DIR              stored results once more

README.md beside this file says what is measured and what the figures mean.
"""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

from bench.common import environment, results

SUITES = ("markets", "audio", "deepbench", "benchdnn", "serving")  # of cgru.judge.suites, which loads NumPy


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
        help="comma-separated patterns of points, such as 'T1-*,lstm-T100-N32-*-H256'",
    )
    parser.add_argument(
        "--cells", default="gru,lstm,rnn", metavar="CELLS", help="comma-separated: gru, lstm, and rnn of a suite"
    )
    parser.add_argument(
        "--suite",
        choices=SUITES,
        help="published shapes instead of the grid: 3 rounds, no goals, no extras; README.md has the figures",
    )
    parser.add_argument(
        "--weights", action="store_true", help="weights in bfloat16 and int8, with a grid, peers and goals of their own"
    )
    parser.add_argument(
        "--isa",
        metavar="NAME",
        help="with --weights: hold cgru, and PyTorch where it knows it, to an instruction set such as x86-64-v3",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads for everybody but the C baselines")
    parser.add_argument(
        "--budget",
        type=float,
        default=None,
        metavar="SECONDS",
        help="time for each contestant at each point (default 0.25; 0.1 with --quick)",
    )
    parser.add_argument("--jitter", action="store_true", help="only the jitter run")
    parser.add_argument("--no-extras", action="store_true", help="leave out gates, jitter, second thread, import")
    parser.add_argument("--report", type=Path, metavar="DIR", help="measure nothing: print and plot DIR/results.json")
    results.add_arguments(parser)
    options = parser.parse_args(argv)
    if options.threads < 1:
        parser.error(f"--threads must be at least 1, got {options.threads}")
    if options.suite and (options.quick or options.jitter):
        parser.error("--suite goes neither with --quick nor with --jitter")
    if options.weights and (options.suite or options.jitter):
        parser.error("--weights goes neither with --suite nor with --jitter")
    if options.isa and not options.weights:
        parser.error("--isa goes with --weights only")
    if options.record and (options.quick or options.jitter):
        parser.error("--record keeps whole runs: it goes neither with --quick nor with --jitter")
    if options.report and not (options.report / "results.json").is_file():
        parser.error(f"--report {options.report}: there is no results.json in it")
    options.budget = options.budget or (0.1 if options.quick else 0.25)
    return options


def main(argv=None):
    """Run, print the report, write what is asked for. Exit status 1 if a contestant was wrong."""
    options = arguments(argv)
    from bench.speed import measure

    found = results.read(options.report) if options.report else measure.measure(options)
    print(text(found))
    folder = options.report or results.folder(options, __file__)
    if options.record:
        folder = folder.joinpath(*part(options))
    if folder is not None:
        for path in write(found, folder, again=bool(options.report)):
            print(f"wrote {path}")
    return 1 if any(point["failures"] for point in found["points"]) or found["extras_failures"] else 0


def part(options):
    """The folders below that of the CPU that a record goes to."""
    if options.weights:
        return ["weights", *([options.isa] if options.isa else [])]
    return [options.suite] if options.suite else []


def text(found):
    """The report of a run, or of a record."""
    from bench.speed import report, weights_report

    return (weights_report if found.get("weights") else report).text(found)


def write(found, folder, again=False):
    """Write results.json (unless it is being read again) and the plots where there is Matplotlib; the paths."""
    written = [] if again else [results.write(found, folder)]
    if found.get("suite") or found.get("weights") or any("cell" not in point for point in found["points"]):
        return written  # these have tables only; the pictures of records of the old form stay as they are
    try:
        from bench.speed import plots
    except ImportError as error:
        print(f"no pictures: {error}")
        return written
    return written + plots.draw(found, folder)


if __name__ == "__main__":
    chosen = arguments(sys.argv[1:])
    environment.ensure_clean(chosen.threads, bound=True, isa=chosen.isa)
    sys.exit(main())
