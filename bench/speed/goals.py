"""The goals as data, and their verdicts computed from the results.

Every goal is about cgru's packed engine, float32, one thread, called from Python, and holds on any machine: it compares
with what was measured in the same run. README.md has them as a table. The targets here are the project's: a run never
changes them.
"""

from statistics import geometric_mean

from bench.speed.grid import CELLS
from bench.speed.peers import CONTESTANTS
from cgru.judge.points import Point

CGRU = "cgru packed"
RIVAL = "ONNX Runtime"
PEERS = tuple(kind.name for kind in CONTESTANTS if kind.peer)

NOISE = 0.01, 0.05  # two runs of the same thing differ by that much on a quiet machine; no more is forgiven on any
MEAN = 1.3
STEP, STEP_WIDTH = 7, 64

# What, which points, and {H from here on: times the limit, at most}
LIMITS = (
    ("step, N=1", lambda p: (p["T"], p["N"]) == (1, 1), {64: 2.0, 128: 1.35, 256: 1.15}),
    ("T=100, N=1", lambda p: (p["T"], p["N"]) == (100, 1), {64: 1.5, 128: 1.25, 256: 1.2}),
    ("T=100, N>=8", lambda p: p["T"] == 100 and p["N"] >= 8, {64: 1.5, 128: 1.25, 256: 1.15}),
)
OUTSIDE = {64: 1.8, 128: 1.8, 16: 2.5, 32: 2.5}  # H: times the plain loop
PASS = 1.4
RNN_OUTSIDE_NS, RNN_WIDTHS = 0.5, (64, 128)
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
    verdicts, extras = [], results["extras"]
    for cell in CELLS:
        points = [point for point in results["points"] if point["cell"] == cell and CGRU in point["contestants"]]
        verdicts += [never_slower(cell, points, peer) for peer in PEERS]
        verdicts += [_mean(cell, points), _short_steps(cell, points)]
        for what, chosen, targets in LIMITS:
            verdicts += _over_limit(cell, what, [point for point in points if chosen(point)], targets)
    for cell in ("gru", "lstm", "rnn"):
        verdicts += _gates(cell, extras.get("gates", {}).get("cells", {}).get(cell))
    verdicts += [
        _panel(results["points"]),
        _verdict("import cgru over import numpy", "<=", IMPORT_MS, extras.get("import", {}).get("over_numpy_ms"), "ms"),
        _verdict(
            "two threads over one, GRU T=100 N=32 H=256",
            ">=",
            TWO_THREADS,
            extras.get("threads", {}).get("speedup"),
            "x",
        ),
        _jitter(extras.get("jitter", {}).get("contestants", {})),
    ]
    return verdicts


# ---- against peers


def ratios(point, peer):
    """Times slower than cgru a peer is at a point, in the run and, where it was measured again, in the second."""
    runs = [point["contestants"], point.get("again", {})]
    return [run[peer]["median"] / run[CGRU]["median"] for run in runs if peer in run and CGRU in run]


def doubtful(point):
    """Peers that were ahead at a point: they are measured once more."""
    return [name for name in PEERS if any(ratio < 1 for ratio in ratios(point, name))]


def lost(found):
    """Whether a peer is ahead by more than noise: by more than two runs differ, within the bounds of NOISE."""
    least, most = NOISE
    return sum(found) / len(found) < 1 - min(most, max(least, max(found) - min(found)))


def never_slower(cell, points, peer):
    """The verdict on one peer at every point."""
    found = {point["shape"]: ratios(point, peer) for point in points if peer in point["contestants"]}
    goal = f"{cell.upper()}: never slower than {peer}, at any of {len(found)} points"
    means = {shape: sum(runs) / len(runs) for shape, runs in found.items()}
    verdict = _verdict(goal, ">=", 1, min(means.values(), default=None), "x")
    if found:
        beaten = {shape: runs for shape, runs in found.items() if lost(runs)}
        level = sum(mean < 1 for mean in means.values()) - len(beaten)
        words = [f"{shape} {' and '.join(f'{run:.3f}' for run in runs)}" for shape, runs in beaten.items()]
        words += [f"{level} within noise"] if level else []
        verdict |= {"passed": not beaten, "note": "; ".join(words)}
    return verdict


def _mean(cell, points):
    found = [ratios(point, RIVAL)[0] for point in points if point["T"] > 1 and RIVAL in point["contestants"]]
    goal = f"{cell.upper()}: times as fast as {RIVAL}, geometric mean of {len(found)} sequences"
    return _verdict(goal, ">=", MEAN, geometric_mean(found) if found else None, "x")


def _short_steps(cell, points):
    found = {
        point["shape"]: ratios(point, RIVAL)[0]
        for point in points
        if point["T"] == 1 and point["H"] <= STEP_WIDTH and RIVAL in point["contestants"]
    }
    goal = f"{cell.upper()}: times as fast as {RIVAL}, steps with H <= {STEP_WIDTH}"
    verdict = _verdict(goal, ">=", STEP, min(found.values(), default=None), "x")
    verdict["note"] = _worst(found, min)
    return verdict


# ---- against the machine


def _over_limit(cell, what, points, targets):
    widths, verdicts = sorted(targets), []
    for width, above in zip(widths, [*widths[1:], None], strict=True):
        chosen = {
            point["shape"]: point["contestants"][CGRU]["median"] / point["limit"]["ns"]
            for point in points
            if point["I"] == point["H"] and "limit" in point
            if (point["H"] >= width if above is None else point["H"] == width)
        }
        goal = f"{cell.upper()}: {what}, H={width}{' and more' if above is None else ''}: time over the limit"
        verdict = _verdict(goal, "<=", targets[width], max(chosen.values(), default=None), "x")
        verdict["note"] = _worst(chosen, max)
        verdicts.append(verdict)
    return verdicts


def _gates(cell, found):
    """What is outside the products, and the pass alone, over the plain loop."""
    found = found or {"loop_ns": None, "widths": {}}
    loop, verdicts = found["loop_ns"], []

    def at(width, key):
        return found["widths"].get(str(width), {}).get(key)

    name = cell.upper()
    if cell == "rnn":
        for width in RNN_WIDTHS:
            outside = at(width, "outside_ns")
            more = None if outside is None else outside - loop
            goal = f"{name} H={width}: outside the products, over the plain loop, a unit"
            verdicts.append(_verdict(goal, "<=", RNN_OUTSIDE_NS, more, "ns"))
        return verdicts
    for width, target in OUTSIDE.items():
        outside = at(width, "outside_ns")
        goal = f"{name} H={width}: outside the products, over the plain loop"
        verdicts.append(_verdict(goal, "<=", target, None if outside is None else outside / loop, "x"))
    alone = {f"H={width}": at(width, "pass_ns") / loop for width in OUTSIDE if at(width, "pass_ns")}
    goal = f"{name}: the pass over the gates alone, over the plain loop"
    verdict = _verdict(goal, "<=", PASS, max(alone.values(), default=None), "x")
    verdict["note"] = _worst(alone, max)
    return [*verdicts, verdict]


def _panel(points):
    key = Point(1, 1, 32, 32, "gru").key
    found = next((point["contestants"] for point in points if point["key"] == key), {})
    mine, loops = (found.get(name, {}).get("median") for name in (CGRU, "C panels"))
    target = PANEL_FACTOR * loops + PANEL_EXTRA_NS if loops else None
    verdict = _verdict("GRU step H=32: time", "<=", target, mine if loops else None, "ns")
    verdict["note"] = (
        f"target is {PANEL_FACTOR} times the panel and gate loops alone in C "
        f"({f'{loops:.0f} ns' if loops else 'not measured'}) plus {PANEL_EXTRA_NS} ns"
    )
    return verdict


def _jitter(contestants):
    tails = {
        name: contestants[name]["p99.9"] / contestants[name]["p50"] for name in (CGRU, RIVAL) if name in contestants
    }
    return _verdict(
        f"GRU step H=64: p99.9 / p50 below {RIVAL}'s",
        "<",
        tails.get(RIVAL),
        tails.get(CGRU) if RIVAL in tails else None,
        "x",
    )


def _worst(found, of):
    """Where the figure is from, and the others."""
    if not found:
        return ""
    worst = of(found, key=found.get)
    others = ", ".join(f"{shape} {value:.3g}" for shape, value in found.items() if shape != worst)
    return worst + (f"; {others}" if others else "")


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
