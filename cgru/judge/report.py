"""What `fast` found, as a table for a terminal, a dictionary for JSON, and a picture."""

from __future__ import annotations

import os
import textwrap
from typing import Any

import numpy as np

from cgru._version import __version__
from cgru.judge.fast import NULL, Fast, Options, Row, fast
from cgru.judge.suites import SOURCES


class Report:
    """A `Fast` to be looked at.

    Parameters
    ----------
    found : Fast

    Attributes
    ----------
    text : str
        Tables and what must be known of them.
    """

    def __init__(self, found: Fast) -> None:
        self.found = found

    @property
    def text(self) -> str:
        """Tables and what must be known of them."""
        found = self.found
        parts = [_table(found, rows) for rows in _groups(found)]
        parts += [part for part in (_instances(found), _published(found), _left_out(found)) if part]
        return "\n\n".join([*parts, *_notes(found)])

    def as_dict(self) -> dict[str, Any]:
        """All figures, in nanoseconds a call."""
        found = self.found
        return {
            "contestant": found.name,
            "version": __version__,
            "suite": found.options.suite,
            "quick": found.options.quick,
            "machine": found.machine,
            "load_average_before": found.load,
            "noise": found.noise(),
            "called_from_python": found.python,
            "missing": found.missing,
            "points": [_row_dict(row) for row in found.rows],
        }

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the times over H to a .png, .pdf or .svg file.

        Raises
        ------
        ImportError
            Matplotlib is not installed.
        ValueError
            Nothing was timed.
        """
        from cgru.judge.plot import draw

        draw(self.found, path)


def fast_report(contestant: Any, options: Options | None = None) -> Report:
    """Time a contestant; see `fast`."""
    return Report(fast(contestant, options))


def _row_dict(row: Row) -> dict[str, Any]:
    point = row.point
    return {
        "key": point.key, "cell": point.cell, "T": point.T, "N": point.N, "I": point.I, "H": point.H,
        "layers": point.layers, "directions": point.directions,
        "times": {name: times.as_dict() for name, times in row.times.items()},
        "skipped": row.skipped, "limit": row.limit,
        "published": [{"ns": one.ns, "what": one.what, "source": SOURCES[one.source]} for one in row.published],
    }  # fmt: skip


# ---- text


def _groups(found):
    """Rows of one table: a kind of cell each, and in a suite all of it."""
    if found.options.suite:
        return [found.rows]
    return [rows for cell in found.options.cells if (rows := [row for row in found.rows if row.point.cell == cell])]


def _table(found, rows):
    suite = found.options.suite
    unit, scale = ("us", 1e-3) if suite else ("ns", 1.0)
    named = dict.fromkeys(name for row in rows for name in row.times if name not in (found.name, NULL))
    others = [*([NULL] if any(NULL in row.times for row in rows) else []), *named]
    header = ["", "median", "p99", "max/median", "in a row", "/limit", "limit", f"{NULL}, one by one", *others, "error"]
    lines = []
    for row in rows:
        mine, bound = row.times.get(found.name), row.limit and row.limit["ns"]
        own = mine.as_dict() if mine else {}
        beside = [row.times[name].as_dict()["in_a_row"] if name in row.times else None for name in others]
        cells = [own.get("median"), own.get("p99"), own.get("in_a_row"), bound, *beside]
        median, p99, in_row, bound_text, *rest = (digits(ns and ns * scale) for ns in cells)
        over = own["in_a_row"] / bound if own and bound else None
        error = "-" if own.get("error") is None else f"{own['error']:.0e}"
        worst = digits(own.get("max_over_median"))
        harness = digits(row.times[NULL].as_dict()["median"] * scale if NULL in row.times else None)
        lines.append(
            [_shape(row.point, suite), median, p99, worst, in_row, digits(over), bound_text, harness, *rest, error]
        )
    title = f"suite {suite}: a call" if suite else f"{rows[0].point.cell.upper()}, one step, I = H, one row"
    return f"{title}; {unit}\n{table(header, lines)}"


def _instances(found):
    counts = [count for count in found.options.instances if count > 1]
    lines = []
    for row in found.rows:
        taken = row.times[found.name].instances if found.name in row.times else {}
        if taken and counts:
            one = taken.get(1) or next(iter(taken.values()))
            lines.append([
                row.point.key if found.options.suite else f"{row.point.cell.upper()} H={row.point.H}",
                *(f"{digits(taken[count])} ({taken[count] / one:.2f})" for count in taken),
            ])  # fmt: skip
    if not lines:
        return ""
    header = ["", *(f"{count} model{'s' * (count > 1)}" for count in found.options.instances)]
    return f"several models at once: ns a step of one, in a row (times the first)\n{table(header, lines)}"


def _published(found):
    lines = [
        [_shape(row.point, True), digits(figure.ns * 1e-3), figure.what, figure.source]
        for row in found.rows for figure in row.published
    ]  # fmt: skip
    if not lines:
        return ""
    named = dict.fromkeys(figure.source for row in found.rows for figure in row.published)
    for column in (2, 3):
        width = max(len(line[column]) for line in lines)
        for line in lines:
            line[column] = line[column].ljust(width)
    sources = _wrapped(f"  {name}: {SOURCES[name]}" for name in named)
    return (
        "published by others, on their machines; us. None was measured here.\n"
        f"{table(['', 'us', '', 'source'], lines)}\n{sources}"
    )


def _left_out(found):
    """Who skipped what: rows of one reason in one line."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in found.rows:
        for name, reason in row.skipped.items():
            reasons.setdefault((name, reason), []).append(_shape(row.point, True))
    lines = [
        f"  {name}, {len(shapes)} of {len(found.rows)} ({', '.join(shapes[:4])}{', ...' if len(shapes) > 4 else ''}): "
        f"{reason}"
        for (name, reason), shapes in reasons.items()
    ]  # fmt: skip
    return "not timed:\n" + _wrapped(lines) if lines else ""


def _notes(found):
    lines = [
        "median, p99, max: of calls timed one by one. in a row: means of as many calls as fill 10 us, their median; it "
        "is what stands over the limit, and what is given of the others.",
        f"{NULL}: a contestant that does nothing but copy; so much of every time is the harness's.",
        "error: from float64, of the first steps; the state begins with zeros.",
    ]
    if found.python:
        lines.append(f"{' and '.join(found.python)}: called from Python, and the call is in the time.")
    if found.options.suite:
        lines.append("Recurrent layers alone, random weights; N > 1 rows are one call.")
    lines += [f"{name}: {reason}" for name, reason in found.missing.items()]
    if found.options.quick:
        lines.append("A quick run: no figure of it is a record.")
    if noise := found.noise():
        lines.append(f"NOT A QUIET MACHINE: {noise}; take no figure from this run.")
    return [_wrapped(lines)]


def _wrapped(lines):
    return "\n".join(
        textwrap.fill(line, 116, subsequent_indent="    " if line.startswith(" ") else "") for line in lines
    )


def _shape(point, whole):
    if not whole:
        return f"H={point.H}"
    words = [point.cell.upper(), f"T={point.T}", f"N={point.N}"]
    words += [f"I=H={point.H}"] if point.I == point.H else [f"I={point.I}", f"H={point.H}"]
    if point.layers > 1:
        words.append(f"{point.layers} layers")
    return " ".join(words) + (" both ways" if point.directions == 2 else "")


def digits(value: float | None) -> str:
    """Three significant digits, whole from 100 on; "-" for None."""
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Columns to the right, the first to the left."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in (header, *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
