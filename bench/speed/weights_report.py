"""Tables of a run of quantised weights: a contestant's errors stand beside its time."""

from itertools import groupby

from bench.speed import report
from bench.speed.report import CGRU, digits

_HEADER = ["", "", "median", "p99", "limit", "/limit", "x float32", "largest error", "RMS error"]


def text(results):
    """The whole report as text."""
    parts = [f"{report.heading(results)}\n{_machine(results)}"]
    for (cell, steps, rows), group in groupby(sorted(results["points"], key=report.group), key=report.group):
        title = "one step" if steps == 1 else f"sequences of {steps} steps"
        parts.append(
            f"{cell.upper()}, {title}, N={rows}: microseconds; x float32: times as fast as {CGRU}; errors of y "
            f"against float64\n{_table(group)}"
        )
    parts += [report.failures(results), report.goals_text(results["goals"])]
    return "\n\n".join(part for part in parts if part)


def _machine(results):
    """The instruction set in force, and the peak of 8-bit products."""
    isa, words = results["isa"], []
    forced = " (FORCED: the machine has more)" if isa["forced"] and isa["usable"][:1] != [isa["name"]] else ""
    words.append(f"instruction set {isa['name']}{forced}; usable here: {', '.join(isa['usable'])}")
    if "probe" in results:
        probe = results["probe"]
        words.append(f"8-bit products: {probe['dot_gops']:.0f} billion operations a second by {probe['dot_form']}")
    return "\n".join(words)


def _table(points):
    rows = []
    for point in points:
        shape = report.shape(point)
        for name, one in point["contestants"].items():
            found = point.get("limits", {}).get(one.get("weight_dtype"), point.get("limit"))
            rows.append([
                shape, name, *(digits(one[key] / 1e3) for key in ("median", "p99")),
                digits(found["ns"] / 1e3) if found else "-", digits(one.get("to_limit")),
                digits(1 / one["to_cgru"] if "to_cgru" in one else None), f"{one['error']:.1e}", f"{one['rms']:.1e}",
            ])  # fmt: skip
            shape = ""
    return report.table(_HEADER, rows)
