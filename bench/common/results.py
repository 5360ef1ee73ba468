"""Where results go: to the screen only, unless ``--output DIR`` or ``--record`` is given.

A record belongs to the CPU model that it was taken on: it is written to ``results/<cpu model>/`` of its experiment.
"""

import datetime
import json
from pathlib import Path

from bench.common import environment


def add_arguments(parser):
    """Add ``--output`` and ``--record``; one of them at most."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--output", type=Path, metavar="DIR", help="write results.json and the pictures there")
    group.add_argument(
        "--record", action="store_true", help="write them to results/<cpu model>/ of this experiment: quiet machine!"
    )


def folder(options, script):
    """Folder that the options ask for, or None. `script` is the experiment's run.py."""
    if options.record:
        return Path(script).resolve().parent / "results" / environment.folder_name(environment.cpu())
    return options.output


def now():
    """Date and time for the record, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def to_json(results):
    """Text of a results file; ValueError for NaN and infinities."""
    return json.dumps(results, indent=1, allow_nan=False) + "\n"


def write(results, directory, to_text=to_json):
    """Write results.json into a folder, made where it is missing; returns the path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "results.json"
    path.write_text(to_text(results), encoding="utf-8")
    return path


def read(directory):
    """Stored results of a folder."""
    return json.loads((Path(directory) / "results.json").read_text(encoding="utf-8"))
