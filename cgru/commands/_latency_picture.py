"""The picture of ``cgru bench --latency``: a histogram of single steps."""

import numpy as np

from cgru.commands._pictures import BLUE, GREEN, VERMILION, new_figure, plain
from cgru.commands._timing import duration

_STYLES = {"p50": "-", "p99": "--", "p99.9": "-.", "max": ":"}


def figure(found, bound, title):
    """Draw a `Latency` and its `Limit`, both axes logarithmic: the few slow calls are what one looks for."""
    drawing = new_figure(11, 5)
    axes = drawing.subplots()
    least, most = min(found.times.min(), bound.ns), found.times.max()
    edges = np.geomspace(0.9 * least, 1.1 * most, 120)
    axes.hist(found.times, edges, color=BLUE, alpha=0.75)
    axes.axvline(bound.ns, color=GREEN, linewidth=2.2, label=f"limit, estimated: {duration(bound.ns)}")
    for name, value in found.percentiles().items():
        axes.axvline(value, color=VERMILION, linestyle=_STYLES[name], label=f"{name}: {duration(value)}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    axes.xaxis.set_major_formatter(lambda value, _: duration(value))
    if most < 20 * least:      # within a decade or so, powers of ten are too few
        axes.xaxis.set_minor_formatter(lambda value, _: duration(value) if f"{value:e}"[0] in "25" else "")
    else:
        axes.xaxis.set_minor_formatter(lambda value, _: "")
    plain(axes)
    axes.set_xlabel("time of one step")
    axes.set_ylabel("steps")
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return drawing
