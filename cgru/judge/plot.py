"""The picture of what `fast` found: times over H, and how far each is from the limit."""

from __future__ import annotations

import io
import os
from typing import Any

from cgru.files import whole_file
from cgru.judge.fast import NULL, Fast

#: Okabe and Ito's colours, told apart by colour-blind readers.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
_CONTESTANT, _HARNESS, _LIMIT = "#D55E00", "#777777", "#000000"


def draw(found: Fast, path: str | os.PathLike[str]) -> None:
    """Write the picture in the format of the path's suffix.

    Parameters
    ----------
    found : Fast
    path : path

    Raises
    ------
    ImportError
        Matplotlib is not installed.
    ValueError
        Nothing was timed.
    """
    drawing, picture = figure(found), io.BytesIO()
    drawing.savefig(picture, format=os.path.splitext(path)[1][1:].lower(), dpi=150)
    with whole_file(path) as file:
        file.write(picture.getvalue())


def figure(found: Fast) -> Any:
    """The picture as a Matplotlib figure: over H, or of a suite a bar for each of its points."""
    from matplotlib.figure import Figure

    rows = [row for row in found.rows if row.times]
    if not rows:
        raise ValueError("nothing was timed: there is nothing to draw")
    if found.options.suite:
        return _of_suite(found, rows, Figure)
    cells = [cell for cell in found.options.cells if any(row.point.cell == cell for row in rows)]
    drawing = Figure(figsize=(1.6 + 4.7 * len(cells), 5.0), layout="constrained")
    panels = drawing.subplots(1, len(cells), squeeze=False, sharey=True)[0]
    for axes, cell in zip(panels, cells, strict=True):
        _over_sizes(axes, found, [row for row in rows if row.point.cell == cell])
        axes.set_title(f"{cell.upper()}, one step, I = H, one row", fontsize=10, loc="left")
    panels[0].set_ylabel("time of one step, ns (in a row)")
    named = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels]
    handles = {label: handle for pairs in named for handle, label in pairs}
    drawing.legend(handles.values(), handles.keys(), loc="outside right upper", frameon=False, fontsize=9)
    return drawing


def _plain(axes):
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _style(found, name):
    if name == found.name:
        return {"color": _CONTESTANT, "linewidth": 2.4, "marker": "o", "zorder": 5}
    if name == NULL:
        return {"color": _HARNESS, "linewidth": 1.2, "linestyle": (0, (1, 1.5)), "marker": "."}
    colour = _COLOURS[found.python.index(name) % len(_COLOURS)]
    return {"color": colour, "linewidth": 1.6, "marker": "s", "markersize": 4}


def _label(found, name):
    return f"{name}, from Python" if name in found.python else name


def _over_sizes(axes, found, rows):
    names = dict.fromkeys(name for row in rows for name in row.times)
    for name in names:
        taken = [(row.point.H, row.times[name].as_dict()) for row in rows if name in row.times]
        sizes = [size for size, _ in taken]
        axes.plot(sizes, [one["in_a_row"] for _, one in taken], label=_label(found, name), **_style(found, name))
        if name == found.name:
            axes.fill_between(
                sizes, [one["median"] for _, one in taken], [one["p99"] for _, one in taken], color=_CONTESTANT,
                alpha=0.18, linewidth=0, label="its single steps, median to p99",
            )  # fmt: skip
    bounds = [(row.point.H, row.limit["ns"]) for row in rows if row.limit]
    if bounds:
        axes.plot(*zip(*bounds, strict=True), color=_LIMIT, linestyle="--", linewidth=1.2, label="limit of the machine")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    sizes = [row.point.H for row in rows]
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("H, hidden units")
    _plain(axes)


def _of_suite(found, rows, Figure):
    """A line of marks for each point, the published figures among them as crosses."""
    drawing = Figure(figsize=(10.5, 1.6 + 0.27 * len(rows)), layout="constrained")
    axes = drawing.subplots()
    for name in dict.fromkeys(name for row in rows for name in row.times if name != NULL):
        places = [place for place, row in enumerate(rows) if name in row.times]
        style = {key: value for key, value in _style(found, name).items() if key in ("color", "marker", "zorder")}
        times = [rows[place].times[name].as_dict()["in_a_row"] / 1e3 for place in places]
        axes.plot(times, places, linestyle="none", label=_label(found, name), **style)
    bounds = [(row.limit["ns"] / 1e3, place) for place, row in enumerate(rows) if row.limit]
    if bounds:
        axes.plot(*zip(*bounds, strict=True), linestyle="none", color=_LIMIT, marker="|", label="limit of the machine")
    others = [(one.ns / 1e3, place) for place, row in enumerate(rows) for one in row.published]
    if others:
        axes.plot(*zip(*others, strict=True), linestyle="none", color="0.55", marker="x", markersize=5,
                  label="published by others, on their machines")  # fmt: skip
    axes.set_yticks(range(len(rows)), [row.point.key for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlabel("time of a call, us")
    axes.set_title(f"suite {found.options.suite}", loc="left", fontsize=10)
    _plain(axes)
    drawing.legend(loc="outside right upper", frameon=False, fontsize=9)
    return drawing
