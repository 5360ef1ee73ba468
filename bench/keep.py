"""Keep the recorded runs of a release: from bench/*/results/ to bench/releases/<version>/<cpu model>.json.

    python bench/keep.py            of the version in the tree; a run that is kept already gives way to a newer one
    python bench/keep.py 0.1.0      of an earlier version, where nothing of it is kept yet

A record goes to the release that its cgru is of or was to become: 0.2.0.dev0 counts as 0.2.0, and the file says so.
"""

import argparse
import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the clone, behind what is installed: cgru is found there


def current():
    """The version in the tree."""
    text = Path(__file__).resolve().parents[1].joinpath("cgru", "_version.py").read_text(encoding="utf-8")
    return re.search(r'__version__ = "(.+)"', text)[1]


def keep(version, present, root=None):
    """Write the files of a version, one for each CPU model; yields lines that say what was done.

    Raises
    ------
    FileExistsError
        There is one of an earlier version than `present`: it is not made again.
    """
    from bench.common import kept

    root = root or kept.RELEASES
    chosen: dict = {}
    for path, run in kept.records():
        if kept.release_of(run.cgru) == version:
            chosen.setdefault(run.cpu, {})[run.experiment] = run
        else:
            yield f"left out, of cgru {run.cgru}: {path.relative_to(kept.BENCH.parent)}"
    for cpu, runs in sorted(chosen.items()):
        path = kept.path_of(version, cpu, root)
        if path.exists():
            if version != kept.release_of(present):
                raise FileExistsError(f"{path} is of an earlier version than {present}, and is not made again")
            runs = {run.experiment: run for run in kept.of_text(path.read_text(encoding="utf-8"))[1]} | runs
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(kept.to_json(version, runs.values()), encoding="utf-8")
        yield f"wrote {path}, {path.stat().st_size} bytes: {', '.join(sorted(runs))}"


def main(argv=None):
    """Keep; 1 where there is nothing to keep or it is kept already."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("version", nargs="?", help="default: that of the tree, without .dev")
    options = parser.parse_args(argv)
    present = current()
    version, written = options.version or present.partition(".dev")[0], 0
    try:
        for line in keep(version, present):
            print(line)
            written += line.startswith("wrote")
    except FileExistsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not written:
        print(f"error: there is no record of cgru {version}", file=sys.stderr)
    return 0 if written else 1


if __name__ == "__main__":
    sys.exit(main())
