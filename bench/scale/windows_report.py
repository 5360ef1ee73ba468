"""The report of a run of windows, as text."""

from bench.scale.windows_goals import GOAL_SHAPE

HEADER = ("us", "models", "p50", "p99", "p99.9", "max", "max/p50", "settle p50", "p99", "windows/s", "error")
NAME, WIDTHS = 41, (7, 12, 12, 12, 12, 9, 12, 12, 11, 7)


def lines(found):
    """Yield the report, line by line."""
    cpus = "any CPU" if found["cpus"] is None else f"CPU {', '.join(map(str, found['cpus']))}"
    yield (
        f"{found['machine']['cpu']}, {cpus}, cgru on {found['isa']}, int8 by {found['int8'] or 'other products'}; "
        f"load average before {found['machine']['load_average_before']}; a reading of the clock, "
        f"{found['clock_ns']:.0f} ns, is in every figure"
    )
    for shape in found["shapes"]:
        yield ""
        size = f"T={shape['T']}, I={shape['I']}, {shape['layers']} x {shape['H']}, Linear 1"
        yield f"LSTM_{shape['shape']}-shaped: {size}; random weights"
        yield _row(HEADER)
        for one in shape["contestants"]:
            yield _row(_cells(one))
        yield from published(shape)
    yield ""
    yield from verdicts(found)
    yield f"(goals are of the LSTM_{GOAL_SHAPE}-shaped network, one model at a time)"


def verdicts(found):
    """Yield a line for every goal."""
    for goal in found["goals"]:
        words = {True: "pass", False: "MISS", None: "not measured" if goal["figure"] is None else "does not count"}
        bound = f"at most {goal['at_most']:,}" if "at_most" in goal else f"at least {goal['at_least']:,}"
        figure = "-" if goal["figure"] is None else f"{goal['figure']:,.2f}"
        yield f"{goal['goal']}: {figure}, {bound}: {words[goal['met']]}"


def _row(cells):
    name, *figures = cells
    return f"{name:{NAME}}" + "".join(f"{figure:>{width}}" for figure, width in zip(figures, WIDTHS, strict=True))


def _cells(one):
    settle = one["settle"] or {"p50": None, "p99": None}
    rate, error = one["windows_per_second"], one["error"]
    return (
        one["name"], str(one["models"]), *(_us(one[name]) for name in ("p50", "p99", "p99.9", "max")),
        f"{one['max_over_median']:.1f}", _us(settle["p50"]), _us(settle["p99"]),
        "-" if rate is None else f"{rate:,.0f}", "-" if error is None else f"{error:.0e}",
    )  # fmt: skip


def _us(ns):
    return "-" if ns is None else f"{ns / 1e3:,.2f}"


def published(shape):
    """What others have published of the shape: theirs, on their machines."""
    yield "  published by others, on their machines:"
    for one in shape["published"]:
        yield f"  {one['ns'] / 1e3:>12,.2f}  {one['what']}"
    for source in dict.fromkeys(one["source"] for one in shape["published"]):
        yield f"                ({source})"
