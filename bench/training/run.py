"""One training step of a GRU, forward and backward: cgru against PyTorch's `nn.GRU`, time and memory.

    python bench/training/run.py                    the table, about half a minute
    python bench/training/run.py --record           and keeps it

T=100, N=32, I=H, float32, one thread. A step takes x, h_0 and dL/dy and gives y, h_n and the gradients of x, h_0 and
every parameter. README.md beside this file has the goals and says what is measured.
"""

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

from bench.common import environment, results
from bench.training import goals


def arguments(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--hidden-sizes", type=int, nargs="+", default=list(goals.TARGETS), metavar="H")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each H; default 6")
    parser.add_argument("--memory-of", metavar="NAME", help=argparse.SUPPRESS)  # a child process of this script
    results.add_arguments(parser)
    return parser.parse_args(argv)


def main(argv=None):
    """Run, print, write what is asked for; 1 where a goal is missed."""
    options = arguments(argv)
    from bench.training import measure

    if options.memory_of:
        measure.memory_of_this_process(options.memory_of, options.hidden_sizes[0])
        return 0
    found = header()
    for H in options.hidden_sizes:
        found["lines"].append(measure.measure(H, options.seconds))
        show(found["lines"][-1])
    found["machine"]["load_average_after"] = environment.load_average()
    folder = results.folder(options, __file__)
    if folder is not None:
        print(f"wrote {results.write(found, folder)}")
    return int(any(goals.missed(line) for line in found["lines"]))


def header():
    """What the results file says of the run before anything is measured."""
    import numpy
    import scipy
    import torch

    import cgru
    from bench.training.contestants import N, T

    return {
        "date": results.now(),
        "machine": environment.describe(threads=1),
        "versions": {module.__name__: module.__version__ for module in (cgru, numpy, scipy, torch)},
        "T": T,
        "N": N,
        "dtype": "float32",
        "lines": [],
    }


def show(line):
    """Print one line of the table."""
    words = {True: "pass", False: "MISS", None: "-"}
    print(f"H={line['H']}")
    for name, found in line["contestants"].items():
        ratio = "" if name not in line["ratios"] else f"{line['ratios'][name]:6.2f} x"
        grown = f"{found['memory']['growth'] / 2**20:7.1f} MB more than before" if found["memory"] else ""
        spread = f"({found['p10_ms']:.2f} to {found['p90_ms']:.2f})"
        print(f"  {name:16s} {found['median_ms']:8.2f} ms {spread:20s} {ratio:9s} {grown}")
    target = f"at least {line['target']} x" if line["target"] else "no goal"
    print(f"  speed, {target}: {words[line['fast_enough']]}; memory no higher: {words[line['memory_no_higher']]}")


if __name__ == "__main__":
    environment.ensure_clean(threads=1, bound=True)
    sys.exit(main())
