"""Many at once: sliding windows, sets of sequences, pools of streams, threads for one sequence.

    python bench/scale/run.py                       all parts, about three quarters of an hour; prints
    python bench/scale/run.py --record              and keeps the results
    python bench/scale/run.py --parts sets --rows 20000 --minute 0
    python bench/scale/run.py --parts windows --isa x86-64-v3
    python bench/scale/run.py --quick               a check: tiny sizes, short times
    python bench/scale/run.py --report DIR          stored results once more

README.md beside this file has the goals and says what is measured.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

from bench.common import environment, results

PARTS = ("windows", "sets", "pools", "threads")
BOUND = ("pools",)  # to one CPU; `windows.py` binds itself
# option: (type, usual, with --quick, what it is)
SIZES = {
    "rows": (int, 100_000, 500, "of the generated set"),
    "rounds": (int, 3, 1, "passes of each contestant over the set"),
    "minute": (float, 60.0, 0.0, "seconds of the job for Ray's overhead; 0: leave it out"),
    "tick_ms": (float, 10.0, 0.5, "how long a tick of the pools may take"),
    "ticks": (int, 100, 10, "ticks that the search for a number of streams looks at"),
    "confirm": (int, 1000, 20, "ticks that the number found must hold"),
    "budget": (float, 3.0, 0.01, "seconds for each contestant of pools' cost and of threads"),
}


def arguments(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    text = f"comma-separated (default: {','.join(PARTS)})"
    parser.add_argument("--parts", type=parts, default=list(PARTS), metavar="NAMES", help=text)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, short times: a check, no record")
    for name, (kind, usual, quick, what) in SIZES.items():
        text = f"{what} (default: {usual:g}; with --quick {quick:g})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=text)
    parser.add_argument(
        "--without",
        default="",
        metavar="NAMES",
        help="comma-separated parts of names of contestants of the sets to leave out, such as 'ray,2 cores'",
    )
    parser.add_argument("--isa", metavar="NAME", help="hold cgru to an instruction set; with --parts windows only")
    parser.add_argument("--report", type=Path, metavar="DIR", help="measure nothing: print and plot DIR/results.json")
    parser.add_argument("--part", choices=PARTS[1:], help=argparse.SUPPRESS)  # a child process of this script
    results.add_arguments(parser)
    options = parser.parse_args(argv)
    changed = [f"--{name.replace('_', '-')}" for name in SIZES if getattr(options, name) is not None]
    changed += ["--without"] * bool(options.without) + ["--quick"] * options.quick
    if options.record and changed:
        parser.error(f"--record keeps whole parts: it does not go with {changed[0]}")
    if options.isa and options.parts != ["windows"]:
        parser.error(f"--isa {options.isa} goes with --parts windows only")
    if options.report and not (options.report / "results.json").is_file():
        parser.error(f"--report {options.report}: there is no results.json in it")
    for name, (_, usual, quick, _) in SIZES.items():
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else usual)
        elif not (getattr(options, name) > 0 or (name == "minute" and options.minute == 0)):
            least = "at least 0" if name == "minute" else "above 0"
            parser.error(f"--{name.replace('_', '-')} must be {least}, got {getattr(options, name)}")
    return options


def parts(text):
    """The parts that a comma-separated list names, in their order."""
    named = [name.strip() for name in text.split(",")]
    for name in named:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    return [name for name in PARTS if name in named]


def main(argv=None):
    """Run the parts, print, write what is asked for; 1 where a goal is missed (not of a quick run) or a part failed."""
    options = arguments(argv)
    if options.part:
        results.write(of_part(options), options.output)
        return 0
    from bench.scale import goals, report

    if options.report:
        found, folder, failed, pictures = results.read(options.report), options.report, [], {}
    else:
        folder = results.folder(options, __file__)
        found, failed, pictures = run(options, stored(folder))
    found["goals"] = goals.evaluate(found["parts"])
    print("\n".join(report.lines(found)))
    for name, reason in failed:
        print(f"part {name} FAILED: {reason}")
    if folder is not None and len(failed) < len(options.parts):
        write(found, folder, pictures, again=bool(options.report))
    missed = any(goal["met"] is False for goal in found["goals"])
    return int(bool(failed) or (missed and not options.quick))


def stored(folder):
    """The parts that are in a folder: a run replaces those that it measures, and keeps the others."""
    if folder is None or not (folder / "results.json").is_file():
        return {}
    return results.read(folder)["parts"]


def run(options, before):
    """Each part in a child process; what was found, the failures, and the windows' picture (name -> bytes).

    Windows that were held to an instruction set are a part of their own, such as "windows-x86-64-v3".
    """
    found = {"what": "many at once: windows, sets, pools, threads", "parts": dict(before)}
    failed, pictures = [], {}
    for name in options.parts:
        print(f"measuring {name} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="cgru-scale-") as folder:
            child = subprocess.run(command(name, options, folder), stdout=subprocess.PIPE, text=True, check=False)
            path = Path(folder) / "results.json"
            if not path.is_file():
                failed.append((name, child.stdout[-2000:] or f"exit status {child.returncode}; see above"))
                continue
            kept = f"{name}-{options.isa}" if options.isa else name
            found["parts"][kept] = json.loads(path.read_text(encoding="utf-8"))
            pictures |= {f"{kept}.png": picture.read_bytes() for picture in Path(folder).glob("*.png")}
    return found, failed, pictures


def command(name, options, folder):
    """The command of a part that writes its results.json to a folder."""
    if name == "windows":
        script = [sys.executable, str(Path(__file__).with_name("windows.py")), "--output", folder]
        script += ["--isa", options.isa] if options.isa else []
        return [*script, *(["--shapes", "A", "--seconds", "0.1"] if options.quick else [])]
    sizes = [word for size in SIZES for word in (f"--{size.replace('_', '-')}", str(getattr(options, size)))]
    script = [sys.executable, str(Path(__file__).resolve()), "--part", name, "--output", folder]
    return [*script, "--without", options.without, *sizes]


def of_part(options):
    """What a part says of itself, in its child process."""
    header = {"date": results.now(), "machine": environment.describe(threads=1)}
    found = importlib.import_module(f"bench.scale.{options.part}").measure(options)
    header["machine"]["load_average_after"] = environment.load_average()
    return header | found


def write(found, folder, pictures, again):
    """Write results.json (unless it is read again), the windows' picture, and the others where there is Matplotlib."""
    if not again:
        print(f"wrote {results.write(found, folder)}")
    for name, picture in pictures.items():
        (folder / name).write_bytes(picture)
        print(f"wrote {folder / name}")
    try:
        from bench.scale import plots
    except ImportError as error:
        print(f"no pictures: {error}")
        return
    for path in plots.draw(found, folder):
        print(f"wrote {path}")


if __name__ == "__main__":
    chosen = arguments(sys.argv[1:])
    if chosen.part:
        environment.ensure_clean(threads=1, bound=chosen.part in BOUND)
    sys.exit(main())
