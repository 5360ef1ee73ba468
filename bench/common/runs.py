"""A record of any experiment as points that can be compared: who took how long where, and how far that lay apart.

The records differ in form; a function for each experiment, in `READERS`, gets the same out of them. A point is
contestant -> `Figure`, nanoseconds. What a record has no quartiles of (windows, rows of a data set) has the distance of
its rounds instead, and what has neither (pools, memory, loss curves) is not here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

LIMIT = "limit"  # of the machine, measured between the rounds: a contestant that runs nothing


class Figure(NamedTuple):
    """The median of a contestant's samples, and its quartiles."""

    median: float
    low: float
    high: float


class Run(NamedTuple):
    """One experiment's record.

    `method` is what must be alike for two to be compared, `versions` contestant -> what was measured, where the record
    says it, and `points` point -> contestant -> `Figure`.
    """

    experiment: str
    cpu: str
    cgru: str
    date: str
    commit: str | None
    method: dict[str, Any]
    versions: dict[str, str]
    points: dict[str, dict[str, Figure]]


def experiment_of(found):
    """Which experiment a results.json is of, by what is in it: it may lie anywhere. None for none of these."""
    parts = found.get("parts")
    if parts is not None:
        return "training" if {"steps", "text"} & parts.keys() else "scale"
    points = found.get("points")
    if isinstance(points, dict):
        return "audio"
    if points and "medians" in points[0]:
        return "c"
    if points and "extras" in found:
        inside = "weights" if found.get("weights") else found.get("suite")
        return f"speed/{inside}" if inside else "speed"
    return "spelling" if "words" in found else None


def read(found):
    """The Run of what a results.json holds; None where there is nothing to compare in it."""
    experiment = experiment_of(found)
    if experiment is None:
        return None
    header, method, versions, points = READERS[experiment.partition("/")[0]](found)
    if not any(points.values()):
        return None
    machine = header["machine"]
    method |= {name: machine.get(name) for name in ("system", "python", "threads", "cores")}
    return Run(
        experiment, machine["cpu"], versions["cgru"], header.get("date", ""), machine.get("commit"), method, versions,
        {name: contestants for name, contestants in points.items() if contestants},
    )  # fmt: skip


def quartiles(one):
    """Of a `timing.summary`."""
    return Figure(one["median"], one["p25"], one["p75"])


def around(middle, spread):
    """Where no quartiles were kept: half of the distance of the rounds' medians to either side."""
    return Figure(middle, middle * (1 - min(spread, 1) / 2), middle * (1 + spread / 2))


def with_peers(versions):
    """The versions of packages, and of the contestants that are one of them in some way."""
    peers = {"ONNX Runtime": "onnxruntime", "PyTorch": "torch", "reading alone": "pyarrow"}
    return versions | {name: versions[package] for name, package in peers.items() if package in versions}


def exactly(ns):
    """A limit, which has no spread of its own."""
    return {LIMIT: Figure(ns, ns, ns)}


# ---- experiments: what a record holds -> its header, method, versions and points


def speed(found):
    """Of bench/speed: the grid, suites and weights."""
    points = {}
    for point in found["points"]:
        limit = point.get("limit")
        measured = {name: quartiles(one) for name, one in point["contestants"].items()}
        # records of 0.1 measured GRUs alone, and did not say so
        key = point["key"] if "cell" in point else f"gru-{point['key']}"
        points[key] = measured | (exactly(limit["ns"]) if limit else {})
    compiler, names = found.get("compiler"), found["contestants"]
    phases = any("inputs_ns" in point.get("limit", ()) for point in found["points"])
    method = {"budget_s": found["budget_s"], "quick": found["quick"], "compiler": compiler}
    method |= {"limit": "of two phases" if phases else "of a call as a whole", "isa": isa(found)}
    versions = {name: version.split(", ")[0] if "C " not in name else version for name, version in names.items()}
    return found, method, versions | {"cgru": names["cgru packed"]}, points


def isa(found):
    """The instruction set in force, which the records of 0.1 name in the text of `show_config` alone."""
    if "isa" in found:
        return found["isa"]["name"]
    lines = [line.split() for line in (found.get("cgru_config") or "").splitlines()]
    return next((words[1] for words in lines if words[:1] == ["chosen:"]), None)


def training(found):
    """Of bench/training: the steps, by number of threads."""
    part = found["parts"].get("steps", {"points": []})
    points = {}
    for point in part["points"]:
        for name, ways in point["contestants"].items():
            for count, one in ways.items():
                at = points.setdefault(f"{point['key']}, {count} thread{'s' * (count != '1')}", {})
                at[name] = quartiles(one)
                if count in point["limit_ns"]:
                    at |= exactly(point["limit_ns"][count])
    versions = part.get("versions", {"cgru": ""})
    method = {"compiler": part.get("compiler")}
    return part, method, with_peers(versions), points


def audio(found):
    """Of bench/audio."""
    points = {
        f"a call of {point['samples']}": {name: quartiles(one) for name, one in point["contestants"].items()}
        for point in found["points"].values()
    }
    return found, {"what": found["what"]}, with_peers(found["versions"]), points


def exported(found):
    """Of bench/c."""
    points = {
        f"{point['cell']} H={point['H']}": {name: quartiles(one) for name, one in point["contestants"].items()}
        for point in found["points"]
    }
    return found, {"compiler": found["compiler"]}, {"cgru": found["cgru"]}, points


def scale(found):
    """Of bench/scale: windows, data sets and the second core."""
    parts, points, versions = found["parts"], {}, {}
    for shape in parts.get("windows", {}).get("shapes", []):
        points[f"window {shape['shape']}"] = {
            one["name"] + f", {one['models']} models" * (one["models"] > 1): around(one["p50"], one["spread"])
            for one in shape["contestants"]
            if one["spread"] is not None
        }
    for name, one in parts.get("sets", {}).get("contestants", {}).items():
        seconds = sorted(one["seconds"])
        figure = Figure(*(1e9 * value for value in (seconds[len(seconds) // 2], seconds[0], seconds[-1])))
        points.setdefault(f"data set, {one['cores']} cores", {})[name] = figure
    for name, of in parts.get("threads", {}).get("shapes", {}).items():
        points[f"{name}, {of['point']}"] = {f"cgru, {count}": quartiles(of[count]) for count in ("one", "two")}
    for part in parts.values():
        versions |= part.get("versions", {})
    first = next(iter(parts.values()), {})
    return first, {}, with_peers(versions), points


def spelling(found):
    """Of bench/spelling, whose quantiles are 5 % and 95 %."""
    keys = ("median_us", "p5_us", "p95_us")
    figures = {name: Figure(*(1000 * found[name][key] for key in keys)) for name in ("cgru", "numpy")}
    return found, {"words": found["words"]}, found["versions"], {"a word": figures}


# By the folder of bench/
READERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "speed": speed,
    "training": training,
    "audio": audio,
    "c": exported,
    "scale": scale,
    "spelling": spelling,
}
