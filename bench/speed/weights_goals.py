"""The goals of quantised weights as data, and their verdicts computed from the results.

They compare with cgru's own float32 and with PyTorch's int8 of the same run, one thread. What must be reached depends
on the instruction set in force: bfloat16 on its width, int8 on whether it has a dot product of bytes. README.md has
them as a table. A run never changes them.
"""

from bench.speed.grid import CELLS

CGRU, BFLOAT16, INT8 = "cgru packed", "cgru bfloat16", "cgru int8"
TORCH = "PyTorch int8"

AVX512, AVX2, VNNI = "AVX-512", "AVX2", "VNNI"
# By the name of an instruction set: what bfloat16 is judged by, and what int8. Others have no such targets.
JUDGED = {
    "x86-64-v4-vnni": (AVX512, VNNI),
    "x86-64-v4": (AVX512, AVX2),
    "x86-64-v3-vnni": (AVX2, VNNI),
    "x86-64-v3": (AVX2, AVX2),
}

STEP, ROW, ROWS = (1, 1), (100, 1), (100, 32)  # T, N
WORDS = {STEP: "step, N=1", ROW: "T=100, N=1", ROWS: "T=100, N=32"}

# Which points, and {what it is judged by: {H: times as fast as float32, at least}}
BFLOAT16_SPEED = {
    STEP: {AVX512: {256: 1.6, 512: 1.6}, AVX2: {256: 1.3, 512: 1.3}},
    ROW: {AVX512: {256: 1.3, 512: 1.4}, AVX2: {256: 1.15, 512: 1.2}},
}
_INT8_ROW = {VNNI: {128: 2, 256: 3, 512: 3, 1024: 4}, AVX2: {128: 1.8, 256: 2.3, 512: 2.5, 1024: 4}}
INT8_SPEED = {
    STEP: _INT8_ROW,
    ROW: _INT8_ROW,
    ROWS: {VNNI: {256: 2, 512: 2}, AVX2: {256: 1.25, 512: 1.25}},
}
# The same points: times as fast as PyTorch int8, at least
OVER_TORCH = {STEP: {VNNI: 1.7, AVX2: 2}, ROW: {VNNI: 1.7, AVX2: 2}, ROWS: {VNNI: 1.3, AVX2: 1.3}}

NEVER_SLOWER, SMALLEST = 0.95, 32  # times float32's speed, from this H on
ACCURACY = {BFLOAT16: 6e-3, INT8: 2e-2}  # largest error of y, T=100
WIDEST = 512


def evaluate(results):
    """Verdict on every goal, of the form of :func:`bench.speed.goals.evaluate`."""
    wide, bytewise = JUDGED.get(results["isa"]["name"], (None, None))
    verdicts = []
    for cell in CELLS:
        points = [point for point in results["points"] if point["cell"] == cell]
        for shape, targets in BFLOAT16_SPEED.items():
            verdicts += _speeds(cell, points, BFLOAT16, shape, targets, wide)
        for shape, targets in INT8_SPEED.items():
            verdicts += _speeds(cell, points, INT8, shape, targets, bytewise)
        verdicts += [_over_torch(cell, points, shape, bytewise) for shape in OVER_TORCH]
        verdicts += [_never_slower(cell, points, name) for name in ACCURACY]
        verdicts += [_accuracy(cell, points, name) for name in ACCURACY]
    return verdicts


def doubtful(point):
    """Quantised weights that were slower than float32 at a point: they are measured once more."""
    return [name for name in ACCURACY if (found := speed(point, name)) is not None and found < 1]


def speed(point, name, base=CGRU):
    """Times as fast as `base` a contestant is at a point: the mean of the runs, or None where one is missing."""
    runs = [point["contestants"], point.get("again", {})]
    found = [run[base]["median"] / run[name]["median"] for run in runs if name in run and base in run]
    return sum(found) / len(found) if found else None


def _speeds(cell, points, name, shape, targets, judged):
    """A verdict for each H."""
    verdicts = []
    for width in next(iter(targets.values())):
        found = {point["shape"]: speed(point, name) for point in _square(points, shape) if point["H"] == width}
        goal = f"{cell.upper()} {name}: {WORDS[shape]}, H={width}: times as fast as float32"
        verdicts.append(_verdict(goal, ">=", targets.get(judged, {}).get(width), found, "x"))
    return verdicts


def _over_torch(cell, points, shape, judged):
    widths = INT8_SPEED[shape][VNNI]
    found = {point["shape"]: speed(point, INT8, TORCH) for point in _square(points, shape) if point["H"] in widths}
    goal = f"{cell.upper()} {INT8}: {WORDS[shape]}, H={min(widths)} to {max(widths)}: times as fast as {TORCH}"
    return _verdict(goal, ">=", OVER_TORCH[shape].get(judged), found, "x")


def _never_slower(cell, points, name):
    found = {point["shape"]: speed(point, name) for point in points if point["H"] >= SMALLEST}
    goal = f"{cell.upper()} {name}: any shape with H >= {SMALLEST}: times as fast as float32"
    return _verdict(goal, ">=", NEVER_SLOWER, found, "x")


def _accuracy(cell, points, name):
    """An answer that was wrong was not timed, and has no error in the results: it is a miss."""
    chosen = [point for point in points if point["T"] == 100 and point["H"] <= WIDEST]
    found = {point["shape"]: point["contestants"].get(name, {}).get("error") for point in chosen}
    goal = f"{cell.upper()} {name}: largest error of y, T=100, H <= {WIDEST}"
    verdict = _verdict(goal, "<=", ACCURACY[name], found, "")
    wrong = [f"{point['shape']}: {point['failures'][name]}" for point in chosen if name in point["failures"]]
    return verdict | {"passed": False, "note": "; ".join(wrong)} if wrong else verdict


def _square(points, shape):
    return [point for point in points if (point["T"], point["N"]) == shape and point["I"] == point["H"]]


def _verdict(goal, sense, target, found, unit):
    """The worst of the figures found by shape counts; the note names it, and the others that miss the target."""
    found = {shape: value for shape, value in found.items() if value is not None}
    worst = min if sense == ">=" else max
    verdict = {
        "goal": goal, "sense": sense, "target": target, "measured": None, "unit": unit, "passed": None, "note": "",
    }  # fmt: skip
    if not found:
        return verdict
    shape = worst(found, key=found.get)
    if target is None:
        return verdict | {"measured": found[shape], "note": f"{shape}; no target for this instruction set"}

    def met(value):
        return value >= target if sense == ">=" else value <= target

    missed = [f"{other} {value:.3g}" for other, value in found.items() if other != shape and not met(value)]
    return verdict | {
        "measured": found[shape],
        "passed": met(found[shape]),
        "note": "; ".join([shape, *([f"also {', '.join(missed)}"] if missed else [])]),
    }
