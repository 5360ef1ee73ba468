"""The picture of a run of windows: for each contestant the step's latency, and what a whole window costs."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

# Okabe and Ito's colours, told apart by colour-blind readers.
COLOURS = {"window": "#D55E00", "stream": "#0072B2", "afresh": "#56B4E9", "ONNX Runtime": "#009E73", "null": "#333333"}
PUBLISHED = "0.55"


def draw(found, path):
    """Draw every shape of a run; returns the path."""
    shapes = found["shapes"]
    rows = [len(shape["contestants"]) + len(shape["published"]) for shape in shapes]
    figure, axes = plt.subplots(
        len(shapes), 1, figsize=(11, 1.2 + 0.27 * sum(rows) + 0.9 * len(shapes)), squeeze=False, layout="constrained",
        gridspec_kw={"height_ratios": rows},
    )  # fmt: skip
    for axis, shape in zip(axes[:, 0], shapes, strict=True):
        _draw_shape(axis, shape)
    axes[-1, 0].set_xlabel("microseconds")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5, frameon=False)
    machine = found["machine"]
    figure.suptitle(
        f"A sliding window's answer from Python, one core: {machine['cpu']}, {found['isa']}, cgru "
        f"{found['versions']['cgru']}",
        fontsize=11,
    )
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path


def _draw_shape(axis, shape):
    names = []
    for row, one in enumerate(shape["contestants"]):
        names.append(one["name"] + (f", {one['models']} models" if one["models"] > 1 else ""))
        _draw_one(axis, row, one)
    for row, one in enumerate(shape["published"], len(names)):
        names.append(f"published: {one['what'].replace('Myrtle ', '')}")
        axis.plot(one["ns"] / 1e3, row, "D", color=PUBLISHED, markersize=5)
    axis.axhline(len(shape["contestants"]) - 0.5, color="0.7", linewidth=0.8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(axis="x", color="0.92")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    size = f"T={shape['T']}, I={shape['I']}, {shape['layers']} x {shape['H']}, Linear 1"
    axis.set_title(f"LSTM_{shape['shape']}-shaped: {size}; random weights", fontsize=10, loc="left")


def _draw_one(axis, row, one):
    colour, p50, high = COLOURS[one["way"]], one["p50"] / 1e3, (one["p99"] or one["max"]) / 1e3
    axis.plot([p50, high], [row, row], color=colour, linewidth=1.6)
    axis.plot(high, row, "|", color=colour, markersize=9, markeredgewidth=1.6)
    axis.plot(p50, row, "o", color=colour, markersize=6)
    axis.plot(one["max"] / 1e3, row, "x", color=colour, markersize=4, alpha=0.5)
    if one["windows_per_second"]:
        axis.plot(1e6 / one["windows_per_second"], row, "s", color=colour, markersize=7, markerfacecolor="none")


def _legend():
    def mark(marker, label, **options):
        return Line2D([], [], color="0.3", linestyle="none", marker=marker, label=label, **options)

    return [
        mark("o", "a step, p50"),
        mark("|", "p99", markersize=9, markeredgewidth=1.6),
        mark("x", "largest", markersize=4, alpha=0.5),
        mark("s", "step and settle, mean: 1 / windows per second", markerfacecolor="none"),
        Line2D([], [], color=PUBLISHED, linestyle="none", marker="D", label="published by others"),
    ]
