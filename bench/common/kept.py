"""The runs that are kept for good: ``bench/releases/<version>/<cpu model>.json``, a file for a release and CPU model.

A file holds of every experiment what two runs are compared by (`runs.Run`): no more than medians and quartiles, to four
digits, so that a release takes tens of kilobytes. The whole records, with pictures, are ``bench/*/results/``, where
the next record of that CPU takes their place.
"""

import json
import subprocess
from pathlib import Path

from bench.common import environment
from bench.common.runs import Figure, Run, read

BENCH = Path(__file__).resolve().parents[1]
RELEASES = BENCH / "releases"


def path_of(version, cpu, root=RELEASES):
    """Where the runs of a version on a CPU model are kept."""
    return root / version / f"{environment.folder_name(cpu)}.json"


def release_of(version):
    """The release that a version is of, or becomes: 0.2.0.dev0 -> 0.2.0."""
    return version.partition(".dev")[0]


def records(bench=BENCH):
    """Yield (path, Run) of every record in ``bench/*/results/`` that can be compared."""
    for path in sorted(bench.glob("*/results/**/results.json")):
        run = read(json.loads(path.read_text(encoding="utf-8")))
        if run is not None:
            yield path, run._replace(commit=run.commit or recorded_in(path))


def recorded_in(path):
    """The commit that brought a record which does not say itself what it was made from; None without git."""
    command = ["git", "log", "-1", "--follow", "--diff-filter=AM", "--format=%h", "--", path.name]
    try:
        done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


def digits(value):
    """Four significant digits, an integer where it is one."""
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded.is_integer() else rounded


def to_json(version, runs):
    """The text of a file, a line for each point."""
    experiments = {}
    for run in sorted(runs):
        names = list(dict.fromkeys(name for point in run.points.values() for name in point))
        experiments[run.experiment] = {
            "cgru": run.cgru,
            "date": run.date,
            "commit": run.commit,
            "method": run.method,
            "versions": run.versions,
            "contestants": names,
            "points": {
                key: [[digits(value) for value in point[name]] if name in point else None for name in names]
                for key, point in run.points.items()
            },
        }
    cpu = next(iter(runs)).cpu
    return spread({"version": version, "cpu": cpu, "experiments": experiments}, levels=4) + "\n"


def spread(value, levels, indent=""):
    """JSON whose outer levels have a line for each entry."""
    if not levels or not isinstance(value, dict):
        return json.dumps(value, allow_nan=False)
    inner = indent + " "
    entries = [f"{inner}{json.dumps(name)}: {spread(entry, levels - 1, inner)}" for name, entry in value.items()]
    return "{\n" + ",\n".join(entries) + f"\n{indent}}}"


def of_text(text):
    """(version, list of Run) of a file."""
    found = json.loads(text)
    kept = []
    for experiment, one in found["experiments"].items():
        points = {
            key: {name: Figure(*figure) for name, figure in zip(one["contestants"], row, strict=True) if figure}
            for key, row in one["points"].items()
        }
        about = (one[name] for name in ("cgru", "date", "commit", "method", "versions"))
        kept.append(Run(experiment, found["cpu"], *about, points))
    return found["version"], kept
