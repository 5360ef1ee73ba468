"""Plots of the results: latency against H, and time over the limit."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.speed.peers import CONTESTANTS

LARGEST_RATIO = 60  # above it lie the call overheads of small sizes
PANELS = ((1, 1), (100, 1), (100, 4), (100, 8), (100, 32))

_STYLES = {kind.name: kind.style for kind in CONTESTANTS}
_LABELS = {kind.name: kind.label or kind.name for kind in CONTESTANTS} | {"limit": "limit of this machine"}
_LIMIT = {"color": "black", "linewidth": 1.2}


def draw(results, directory):
    """Write latency-CELL.png and limit-CELL.png for every cell into a directory; returns their paths."""
    written = []
    for cell in dict.fromkeys(point["cell"] for point in results["points"]):
        for name in ("latency", "limit"):
            figure = _figure(results, cell, name == "latency")
            if figure is not None:
                path = directory / f"{name}-{cell}.png"
                figure.savefig(path, dpi=130)
                plt.close(figure)
                written.append(path)
    return written


def _figure(results, cell, latency):
    points = [point for point in results["points"] if point["cell"] == cell]
    panels = {shape: _square_points(points, *shape) for shape in PANELS}
    panels = {shape: points for shape, points in panels.items() if len(points) > 1}
    if not panels:
        return None
    columns = min(3, len(panels) + 1)
    rows = -(-(len(panels) + 1) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.6 * columns, 4.1 * rows + 0.4), squeeze=False, layout="constrained"
    )
    handles = {}
    for axis, ((steps, batch), points) in zip(axes.flat, panels.items(), strict=False):
        handles |= _draw_panel(axis, points, latency)
        axis.set_title("one step, N = 1" if steps == 1 else f"{steps} steps, N = {batch}", fontsize=11)
        axis.set_xlabel("hidden units H (= inputs I)")
        axis.set_ylabel("median, microseconds" if latency else "time over the limit")
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_axis_off()
    order = [name for name in [*_STYLES, "limit"] if name in handles]
    axes.flat[len(panels)].legend(
        [handles[name] for name in order],
        [_LABELS[name] for name in order],
        loc="center",
        frameon=False,
    )
    machine = results["machine"]
    threads = "one thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    what = "latency of a call from Python" if latency else "time over the machine's limit"
    figure.suptitle(f"{cell.upper()}: {what}, float32, {threads}: {machine['cpu']}", fontsize=12)
    return figure


def _draw_panel(axis, points, latency):
    def value(record):
        return record["median"] / 1e3 if latency else record.get("to_limit")

    handles = {}
    widths = [point["H"] for point in points]
    if all("limit" in point for point in points):
        floor = [point["limit"]["ns"] / 1e3 if latency else 1.0 for point in points]
        (handles["limit"],) = axis.plot(widths, floor, **_LIMIT, zorder=3)
        axis.fill_between(widths, floor, 1e-9, color="#EEEEEE", zorder=0)
    for name, style in _STYLES.items():
        found = [(point["H"], value(point["contestants"][name])) for point in points if name in point["contestants"]]
        found = [(width, height) for width, height in found if height]
        if found:
            (handles[name],) = axis.plot(*zip(*found, strict=True), **style)
    _scale(axis, widths, latency)
    return handles


def _scale(axis, widths, latency):
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(FixedLocator(widths))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda width, _: f"{width:.0f}"))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda height, _: f"{height:,.10g}"))
    if latency:
        heights = [height for line in axis.lines for height in line.get_ydata()]
        axis.set_ylim(min(heights) / 1.6, max(heights) * 1.6)
    else:
        axis.set_ylim(0.8, LARGEST_RATIO)
        axis.yaxis.set_major_locator(FixedLocator([1, 1.5, 2, 3, 5, 10, 20, 50]))
        axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xlim(widths[0] / 1.1, widths[-1] * 1.1)
    axis.grid(True, which="major", color="#DDDDDD", linewidth=0.6)
    axis.set_axisbelow(True)


def _square_points(points, steps, batch):
    """Points with I = H, a power of two, of one T and N, by H. The others are in the table."""
    found = [
        point
        for point in points
        if (point["T"], point["N"]) == (steps, batch) and point["I"] == point["H"] and point["H"].bit_count() == 1
    ]
    return sorted(found, key=lambda point: point["H"])
