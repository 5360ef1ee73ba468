"""``cgru judge``: anyone's GRU or LSTM in C or C++: right, safe, fast? Exit status 0: right and safe, 1: not.

The functions that it must offer are in cgru_judge.h, in the folder that ``cgru.get_include()`` names. It runs in
processes of its own. With --write-cases the test vectors are written, for whoever tests without this package.
"""

import json
import os
import shlex

import numpy as np

from cgru.cells import CELLS
from cgru.commands import _pictures
from cgru.commands._exit import writable
from cgru.commands._progress import Progress
from cgru.files import write_whole

SOURCES = (".c", ".cc", ".cpp", ".cxx", ".so", ".dylib")
PARTS = ("right", "safe", "fast")
_OF_A_CONTESTANT = ("cell", "only", "quick", "flags", "include", "cc", "suite", "json", "plot")


def add_arguments(parser):
    parser.add_argument("contestant", metavar="FILE", nargs="?", help=f"its source or library: {', '.join(SOURCES)}")
    parser.add_argument("--cell", choices=list(CELLS), action="append", help="judge this kind alone; may be repeated")
    parser.add_argument("--only", metavar="PART,...", type=parts,
                        help="right, safe, fast: these alone")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer cases, sizes and samples; figures are no record")
    parser.add_argument("--flags", metavar="'-O3 ...'", type=words,
                        help="the compiler's, in place of ours; one that stands alone as --flags=-O3")  # fmt: skip
    parser.add_argument("--include", metavar="DIR", action="append", default=[], help="look for headers here too")
    parser.add_argument("--cc", metavar="COMPILER", help="default: $CC or cc, and $CXX or c++")
    parser.add_argument("--suite", metavar="NAME", help="time the shapes for which others publish figures")
    parser.add_argument("--json", metavar="FILE", help="write everything that was found to this .json file")
    parser.add_argument("--plot", metavar="FILE", help="draw the times over H: .png, .pdf or .svg")
    parser.add_argument("--write-cases", metavar="DIR", help="write the test vectors into a folder, with their format")
    parser.add_argument("--seed", type=int, default=0, help="of the cases; default 0")


def parts(text):
    """Argument type: some of the parts, between commas."""
    found = tuple(text.split(","))
    if not set(found) <= set(PARTS):
        raise ValueError(text)
    return found


def words(text):
    """Argument type: words as a shell cuts them."""
    return shlex.split(text)


parts.__name__, words.__name__ = "choice of right, safe, fast", "list of flags"


def main(args):
    if args.contestant is None and args.write_cases is None:
        raise ValueError("what is to be judged? Give its .c, .cc, .cpp or .so, or --write-cases DIR")
    if args.seed < 0:
        raise ValueError(f"--seed must be 0 or more; got {args.seed}")
    _refuse(args)
    args.only = args.only or PARTS
    if args.write_cases is not None:
        write_cases(args)
    if args.contestant is not None and not judge(args):
        raise SystemExit(1)


def _refuse(args):
    """What is wrong with the arguments, before any work."""
    from cgru.judge.case_files import refuse_directory

    if args.write_cases is not None:
        if not args.write_cases:
            raise ValueError("--write-cases: the name of the folder is empty; give one")
        refuse_directory(args.write_cases)
    if args.contestant is None:
        _refuse_alone(args)
        return
    path = args.contestant
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a folder, expected a file: {', '.join(SOURCES)}")
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no file {path}")
    if os.path.splitext(path)[1] not in SOURCES:
        raise ValueError(f"{path}: expected a name that ends with {', '.join(SOURCES)}")
    for folder in args.include:
        if not os.path.isdir(folder):
            raise NotADirectoryError(f"--include {folder}: there is no such folder")
    if args.json is not None:
        writable(args.json, (".json",), "--json", args)
    only = args.only or PARTS
    for option, given in {"--plot": args.plot, "--suite": args.suite}.items():
        if given is not None and "fast" not in only:
            raise ValueError(f"{option} is of what is timed; add fast to --only")
    if args.plot is not None:
        _pictures.check(args)
    if "fast" in only:
        _options(args)


def _refuse_alone(args):
    """What --write-cases would ignore without a contestant."""
    for option in _OF_A_CONTESTANT:
        if getattr(args, option):
            raise ValueError(f"--{option} is of a contestant, and there is none; give its file, or leave it out")


class _Bar:
    """A bar on a terminal for a function that says how much is done of how much."""

    def __init__(self, unit):
        self._unit, self._bar, self._done = unit, None, 0

    def __call__(self, done, total):
        if self._bar is None:
            self._bar = Progress(total, self._unit)
        self._bar.update(done - self._done)
        self._done = done

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._bar is not None:
            self._bar.close()


def write_cases(args):
    """The four files of the cases."""
    from cgru.judge import case_files

    with _Bar("case") as bar:
        paths = case_files.write_cases(args.write_cases, seed=args.seed, progress=bar)
    for path in paths:
        print(f"wrote {path}, {os.path.getsize(path):,} bytes")


def judge(args):
    """Ask the parts that are wanted, print what they found; whether the contestant is right and safe."""
    from cgru.judge import host

    given = {"flags": args.flags, "include": tuple(args.include), "cc": args.cc}
    found: dict = {}
    try:
        _find(host.Contestant.of(args.contestant, **given), args, found)
    except BaseException as error:      # also what ends the process: what is known so far is kept
        if any(part in found for part in PARTS):
            _write(args, found | {"broken_off": str(error) or type(error).__name__})
        if isinstance(error, host.BuildError):
            raise ValueError(str(error)) from error
        raise
    if _write(args, found):
        print(f"\nwrote {args.json}")
    return all(found[part]["passed"] for part in ("right", "safe") if part in found)


def _write(args, found):
    """The JSON, if it is wanted."""
    if args.json is None:
        return False
    write_whole(args.json, (json.dumps(_json(found), indent=1, allow_nan=False) + "\n").encode("ascii"))
    return True


def _find(contestant, args, found):
    """Fill a dictionary part by part; each is printed as it is done."""
    found |= {"contestant": contestant.name, "file": args.contestant, "built": contestant.label}
    print(f"{contestant.name}: {contestant.label}")
    for part in PARTS:
        if part in args.only:
            report = _PARTS[part](contestant, args)
            found[part] = report.as_dict()
            print(f"\n{part}?{_verdict(report)}")
            print("\n".join(f"  {line}" for line in report.text.splitlines()))
            if args.plot is not None and part == "fast":
                _plot(report, args.plot)


def _plot(report, path):
    """The picture; where nothing was timed there is none, and what was found stands all the same."""
    if not any(row.times for row in report.found.rows):
        print(f"no picture, for nothing was timed: {path} was not written")
        return
    report.plot(path)
    print(f"wrote {path}")


def _json(value):
    """A value in JSON's own terms: no NumPy, and null for what is no number."""
    if isinstance(value, dict):
        return {str(key): _json(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_json(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _verdict(report):
    passed = getattr(report, "passed", None)
    return "" if passed is None else " yes" if passed else " no"


def _right(contestant, args):
    from cgru.judge.cases import CASES
    from cgru.judge.right import right

    with _Bar("case") as bar:
        return right(contestant, CASES(args.seed), kinds=args.cell, quick=args.quick, progress=bar)


def _safe(contestant, args):
    from cgru.judge.safe import safe

    with _Bar("size") as bar:
        return safe(contestant, kinds=args.cell, quick=args.quick, progress=bar)


def _fast(contestant, args):
    from cgru.judge.report import fast_report

    with _Bar("call") as bar:
        return fast_report(contestant, _options(args, bar))


def _options(args, progress=None):
    """What is to be timed."""
    from cgru.judge.fast import Options

    cells = Options.cells if args.cell is None else tuple(args.cell)
    return Options(cells, suite=args.suite, quick=args.quick, cc=_c_compiler(args), progress=progress)


def _c_compiler(args):
    """--cc, where it names a C compiler: of a contestant in C++ it names another."""
    return args.cc if os.path.splitext(args.contestant)[1] in (".c", ".so", ".dylib") else None


_PARTS = {"right": _right, "safe": _safe, "fast": _fast}
