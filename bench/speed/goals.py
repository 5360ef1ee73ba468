"""The goals as data, and their verdicts computed from the results.

Every goal is about cgru's packed engine, float32, one thread, called from Python. README.md has them as a
table. The targets here are the project's: a run never changes them.
"""

from bench.common.problem import Point

CGRU = "cgru packed"
RIVAL = "ONNX Runtime"

# (T, N): {H: times faster than ONNX Runtime, at least}
_FASTER = {
    (1, 1): {32: 30, 64: 8, 128: 3, 256: 1.8, 512: 1.3},
    (100, 1): {64: 1.9, 128: 1.7, 256: 1.5, 512: 1.1},
    (100, 32): {64: 1.8, 128: 1.5, 256: 1.3, 512: 1.25},
}
# (T, N): {H: times the limit, at most}
_LIMIT = {
    (1, 1): {128: 1.45, 256: 1.25, 512: 1.25},
    (100, 1): {128: 1.35, 256: 1.35, 512: 1.35},
    (100, 32): {128: 1.2, 256: 1.2, 512: 1.2},
}
PANEL_FACTOR, PANEL_EXTRA_NS = 1.5, 100
IMPORT_MS = 30
TWO_THREADS = 1.7


def evaluate(results):
    """Verdict on every goal.

    Parameters
    ----------
    results : dict
        What the results file holds.

    Returns
    -------
    list of dict
        ``goal`` (words), ``target``, ``measured`` (None: not measured in this run), ``unit``, ``passed``
        (None: not measured), and ``note`` where there is something to add.
    """
    points = {point["key"]: point for point in results["points"]}
    verdicts = []
    for (steps, rows), targets in _FASTER.items():
        for hidden, target in targets.items():
            verdicts.append(_faster(points, Point(steps, rows, hidden, hidden), target))
    for (steps, rows), targets in _LIMIT.items():
        for hidden, target in targets.items():
            point = Point(steps, rows, hidden, hidden)
            mine = _median(points, point, CGRU)
            limit = points.get(point.key, {}).get("limit")
            ratio = mine / limit["ns"] if mine and limit else None
            verdicts.append(_verdict(f"{_words(point)}: time over the limit", "<=", target, ratio, "x"))
    verdicts.append(_panel(points))
    extras = results["extras"]
    verdicts.append(
        _verdict(
            "import cgru over import numpy",
            "<=",
            IMPORT_MS,
            extras.get("import", {}).get("over_numpy_ms"),
            "ms",
        )
    )
    verdicts.append(
        _verdict(
            "two threads over one, T=100 N=32 H=256",
            ">=",
            TWO_THREADS,
            extras.get("threads", {}).get("speedup"),
            "x",
        )
    )
    verdicts.append(_jitter(extras.get("jitter", {}).get("contestants", {})))
    return verdicts


def _faster(points, point, target):
    mine, theirs = _median(points, point, CGRU), _median(points, point, RIVAL)
    verdict = _verdict(
        f"{_words(point)}: times faster than {RIVAL}",
        ">=",
        target,
        theirs / mine if mine and theirs else None,
        "x",
    )
    if mine and theirs:
        ways = points[point.key]["contestants"][RIVAL]["ways"]
        if len(ways) > 1:
            verdict["note"] = "; ".join(f"{ns / mine:.3g}x against {call}" for call, ns in ways.items())
    return verdict


def _panel(points):
    point = Point(1, 1, 32, 32)
    mine, loops = _median(points, point, CGRU), _median(points, point, "C panels")
    target = PANEL_FACTOR * loops + PANEL_EXTRA_NS if loops else None
    verdict = _verdict("step H=32: time", "<=", target, mine if loops else None, "ns")
    verdict["note"] = (
        f"target is {PANEL_FACTOR} times the panel and gate loops alone in C "
        f"({f'{loops:.0f} ns' if loops else 'not measured'}) plus {PANEL_EXTRA_NS} ns"
    )
    return verdict


def _jitter(contestants):
    tails = {
        name: contestants[name]["p99.9"] / contestants[name]["p50"]
        for name in (CGRU, RIVAL)
        if name in contestants
    }
    return _verdict(
        f"step H=64: p99.9 / p50 below {RIVAL}'s",
        "<",
        tails.get(RIVAL),
        tails.get(CGRU) if RIVAL in tails else None,
        "x",
    )


def _verdict(goal, sense, target, measured, unit):
    passed = None
    if measured is not None and target is not None:
        passed = {"<=": measured <= target, ">=": measured >= target, "<": measured < target}[sense]
    return {
        "goal": goal,
        "sense": sense,
        "target": target,
        "measured": measured,
        "unit": unit,
        "passed": passed,
        "note": "",
    }


def _median(points, point, name):
    return points.get(point.key, {}).get("contestants", {}).get(name, {}).get("median")


def _words(point):
    return f"step H={point.H}" if point.is_step else f"T={point.T} N={point.N} H={point.H}"
