"""Fuzzes the formats that cgru reads, one after the other, each in a process of its own.

    python tests/fuzz/run.py                                    10 s for each format
    python tests/fuzz/run.py --seconds 60 onnx nam              60 s for each of these
    python tests/fuzz/run.py --hours 1 --record RECORD.md       all of them in an hour
    python tests/fuzz/run.py --replay FORMAT FILE               what does not hold of one file

Guided by coverage where atheris is installed, at random where it is not. A format whose library is not there is
passed over; with CGRU_REQUIRE_PEERS=1 nothing may be missing. Exit status 1 where something was found: the
files are then in the folder that the last line names, and belong, made small and mended, into the corpus.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.worker import imported, work

REQUIRED = os.environ.get("CGRU_REQUIRE_PEERS") == "1"
_PATIENCE = 120  # seconds that a process may take beside its search: imports, and libFuzzer's end


def arguments():
    """The command line; no format is known yet, and cgru not imported."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="default: all")
    parser.add_argument("--seconds", type=float, default=10, help="for each format (default: 10)")
    parser.add_argument("--hours", type=float, help="for all of them together, in place of --seconds")
    parser.add_argument("--seed", default="0", help="a number, or `random` (default: 0)")
    parser.add_argument("--record", type=Path, help="write the table of what was done, as Markdown")
    parser.add_argument("--folder", type=Path, help="where to keep what is found (default: a new one)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="check this file alone")
    args = parser.parse_args()
    if args.replay and len(args.formats) != 1:
        parser.error("--replay FILE wants one FORMAT")
    args.seed = int.from_bytes(os.urandom(4)) if args.seed == "random" else int(args.seed)
    return args


def chosen(args):
    """The formats by name that were asked for."""
    from fuzz.formats import FORMATS

    unknown = [name for name in args.formats if name not in FORMATS]
    if unknown:
        sys.exit(f"there is no format {unknown[0]}; there are {', '.join(FORMATS)}")
    return {name: FORMATS[name] for name in args.formats or FORMATS}


def replay(format_, path):
    """Print what does not hold of a file; whether all does."""
    from fuzz.doors import Check

    with tempfile.TemporaryDirectory() as folder:
        found = Check(format_, folder)(path.read_bytes())
    print("\n".join(found) or "all holds")
    return not found


def fuzzed(atheris, format_, folder, seconds, seed):
    """Search one format: a row of the record. A process that ends early (a crash, a hang) is followed by another."""
    name = format_.name
    folder.mkdir(parents=True, exist_ok=True)
    start, row, log = time.monotonic(), {"format": name, "executions": 0, "starts": 0}, folder / "log"
    counts = {"models": 0, "refusals": 0}
    while (left := seconds - (time.monotonic() - start)) > 1 or not row["starts"]:
        status, data = _one(atheris, format_, folder, left, seed + row["starts"], log)
        text = log.read_text(errors="replace")
        row["starts"] += 1
        row |= _coverage(text)
        told = _counts(folder)
        runs = re.findall(r"number_of_executed_units: (\d+)", text)
        row["executions"] += int(runs[-1]) if runs else told.get("files", 0)
        counts = {key: counts[key] + told.get(key, 0) for key in counts}
        if status:
            last = next(
                (line for line in text.splitlines() if "ERROR: libFuzzer" in line), text.strip().rpartition("\n")[2]
            )
            kept = folder / "found" / f"{name}-end-{row['starts']}"
            kept.write_bytes(data)
            kept.with_suffix(".txt").write_text(f"the process ended with status {status}: {last}\n{text[-4000:]}")
            if row["starts"] > 20:
                break
    row |= counts | {"seconds": time.monotonic() - start, "found": len(list((folder / "found").glob("*.txt")))}
    return row


def _one(atheris, format_, folder, seconds, seed, log):
    """The exit status of one process, of one that a signal ended its negative; and the file that it ended with."""
    from cgru.commands._progress import Progress

    (folder / "counts.json").unlink(missing_ok=True)
    (folder / "found").mkdir(exist_ok=True)
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as scratch:
        child = os.fork()
        if child == 0:
            _in_child(log, atheris, format_, folder, scratch, seconds, seed)
        begin, ended, whole, progress = time.monotonic(), 0, 0, Progress(round(seconds), f"s of {format_.name}")
        while not ended:
            time.sleep(0.2)
            spent = time.monotonic() - begin
            progress.update(min(round(spent), round(seconds)) - whole)
            whole = min(round(spent), round(seconds))
            ended, status = os.waitpid(child, os.WNOHANG)
            if not ended and spent > seconds + _PATIENCE:
                os.kill(child, signal.SIGKILL)
        progress.close()
        last = next(Path(scratch).glob("input*"), None)
        return os.waitstatus_to_exitcode(status), last.read_bytes() if last else b""


def _in_child(log, *given):
    """Work, print into the log, and end."""
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        work(*given)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _counts(folder):
    """What a process has told last; nothing where it is just writing."""
    path = folder / "counts.json"
    return json.loads((path.read_text() if path.exists() else "") or "{}")


def _coverage(log):
    found = re.findall(r"cov: (\d+) ft: (\d+)", log)
    return {"edges": int(found[-1][0]), "features": int(found[-1][1])} if found else {}


def tool(atheris):
    """What searches, in words."""
    if atheris is None:
        return "random changes, without a guide (atheris is not installed)"
    return f"atheris {importlib.metadata.version('atheris')}, guided by the coverage of cgru's Python"


def record(rows, args, what):
    """The record as Markdown; `what` searched."""
    import cgru

    about = Path("/proc/cpuinfo")
    cpus = re.findall(r"^model name\s*: (.*)", about.read_text() if about.exists() else "", re.M)
    where = f"{cpus[0] if cpus else platform.machine()}, {platform.system()}"
    with_what = f"Python {platform.python_version()}, cgru {cgru.__version__}; {what}"
    total = {key: sum(row[key] for row in rows) for key in ("executions", "seconds", "found")}
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {where}, {with_what}; {args.seconds:.0f} s for each format, "
        f"seed {args.seed}.",
        "",
        "| format | files | doors that gave a model or an output | that refused | edges | seconds | found |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        counts = " | ".join(f"{row[key]:,}" for key in ("executions", "models", "refusals"))
        lines.append(f"| {row['format']} | {counts} | {row.get('edges', '')} | {row['seconds']:.0f} | {row['found']} |")
    lines.append(f"| all {len(rows)} | {total['executions']:,} | | | | {total['seconds']:.0f} | {total['found']} |")
    return "\n".join([*lines, ""])


def main():
    """Run the command line; the exit status."""
    args = arguments()
    if args.replay:
        (format_,) = chosen(args).values()
        return not replay(format_, args.replay)
    atheris = imported()  # before anything else imports cgru
    if REQUIRED and atheris is None:
        sys.exit("atheris is not installed, and CGRU_REQUIRE_PEERS=1 wants it")
    formats = chosen(args)
    if args.hours:
        args.seconds = args.hours * 3600 / len(formats)
    folder, rows = args.folder or Path(tempfile.mkdtemp(prefix="fuzz-")), []
    print(f"{tool(atheris)}; {args.seconds:.0f} s for each of {len(formats)} formats, seed {args.seed}")
    for name, format_ in formats.items():
        if format_.missing():
            if REQUIRED:
                sys.exit(f"{name} needs {', '.join(format_.missing())}, and CGRU_REQUIRE_PEERS=1 wants it")
            print(f"SKIPPED: {name}, which needs {', '.join(format_.missing())}")
            continue
        row = fuzzed(atheris, format_, folder / name, args.seconds, args.seed)
        rows.append(row)
        counts = f"{row['executions']:9,} files, {row['models']:9,} read, {row['refusals']:9,} refused"
        print(f"{name:16} {counts}, {row['found']} found", flush=True)
        for text in sorted((folder / name / "found").glob("*.txt")):
            print(f"    {text.read_text().splitlines()[0]:.300}")
            print(f"    python tests/fuzz/run.py {name} --replay {text.with_suffix('')}", flush=True)
        if args.record:
            args.record.write_text(record(rows, args, tool(atheris)))
    found = sum(row["found"] for row in rows)
    print(f"{sum(row['executions'] for row in rows):,} files, {found} found: {folder}")
    return found > 0


if __name__ == "__main__":
    sys.exit(main())
