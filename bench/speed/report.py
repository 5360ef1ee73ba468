"""Tables for the screen, from the results of a run or from a file.

Records of before there were LSTMs have points without a cell, and a limit without phases under the same name.
"""

from itertools import groupby

CGRU = "cgru packed"
QUIET = 0.1  # rounds whose medians differ by more than this were disturbed


def text(results):
    """The whole report as text."""
    parts = [heading(results)]
    for (cell, steps, rows), found in groupby(sorted(results["points"], key=group), key=group):
        title = "one step" if steps == 1 else f"sequences of {steps} steps"
        parts.append(f"{cell.upper()}, {title}, N={rows}: median in microseconds\n{_medians(list(found), results)}")
    parts += [_ratios(results), _extras(results["extras"]), failures(results), goals_text(results["goals"])]
    return "\n\n".join(part for part in parts if part)


def group(point):
    return point.get("cell", "gru"), point["T"], point["N"]


def table(header, rows):
    """Columns as wide as their cells, numbers to the right, a rule below the header."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells):
        first, *rest = zip(cells, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *(line(row) for row in rows)])


def machine_line(recorded):
    """A line on the machine of a record, and on how busy it was."""
    load = f"{recorded['load_average_before']}, after {recorded['load_average_after']}"
    return f"{recorded['cpu']}, {recorded['cores']} cores; load average before {load}"


def digits(value):
    """Three significant digits, no exponent from 0.0001 up; a dash for None."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def heading(results):
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, caches {machine['caches']}",
        f"{machine['system']}, Python {machine['python']}, {results['compiler'] or 'no C compiler'}",
        f"threads {machine['threads']}, load average before {machine['load_average_before']}, "
        f"after {machine.get('load_average_after')}",
    ]
    if "probe" in results:
        probe = results["probe"]
        speeds = probe["read_gb_per_s"]
        usual = probe["read_typical_gb_per_s"]
        shown = {"32 KB": 32 << 10, "256 KB": 256 << 10, "4 MB": 4 << 20, "64 MB": 64 << 20}
        reads = ", ".join(f"{name} {speeds[str(size)]:.0f} ({usual[str(size)]:.0f})" for name, size in shown.items())
        lines.append(f"one core: {probe['fma_gflops']:.0f} GFLOP/s; reads, GB/s by footprint, best (typical): {reads}")
    spreads = sorted(one["spread"] for point in results["points"] for one in point["contestants"].values())
    if spreads:
        middle, high = spreads[len(spreads) // 2], spreads[9 * len(spreads) // 10]
        verdict = "" if middle < QUIET else "  NOT A QUIET MACHINE: take no figure from this run"
        lines.append(f"spread of the rounds: median {middle:.2f}, 90th percentile {high:.2f}{verdict}")
    lines += [f"{name}: {version}" for name, version in results["contestants"].items()]
    lines += [f"{name}: MISSING, {reason}" for name, reason in results["missing"].items()]
    return "\n".join(lines)


def _medians(points, results):
    names = [name for name in results["contestants"] if any(name in point["contestants"] for point in points)]
    others = [name for name in names if name != CGRU]
    rows = []
    for point in points:
        found = point["contestants"]
        own = found.get(CGRU, {})
        cells = [own.get("median"), own.get("p99"), *(found.get(name, {}).get("median") for name in others)]
        median, p99, *rest = (digits(ns and ns / 1e3) for ns in cells)
        limit = digits(point["limit"]["ns"] / 1e3) if "limit" in point else "-"
        over = [digits(own.get(key)) for key in ("to_limit", "to_overlapped")]
        rows.append([shape(point), limit, median, p99, *over, *rest])
    return table(["", "limit", CGRU, "its p99", "/limit", "/overlapped", *others], rows)


def _ratios(results):
    names = [name for name in results["contestants"] if name != CGRU]
    points = [point for point in results["points"] if CGRU in point["contestants"]]
    if not points or not names:
        return ""
    rows = [
        [point["key"], *(digits(point["contestants"].get(name, {}).get("to_cgru")) for name in names)]
        for point in points
    ]
    return f"Times slower than {CGRU}\n{table(['', *names], rows)}"


def _extras(extras):
    parts = []
    if "jitter" in extras:
        found = extras["jitter"]
        rows = [
            [
                name,
                *(digits(one[key] / 1e3) for key in ("p50", "p99", "p99.9", "max")),
                digits(one["p99.9"] / one["p50"]),
            ]
            for name, one in found["contestants"].items()
        ]
        parts.append(
            f"Jitter: {found['steps']} single steps at {found['point']}, microseconds "
            f"(the clock itself: {found['clock_ns']:.0f} ns)\n"
            + table(["", "p50", "p99", "p99.9", "max", "p99.9/p50"], rows)
        )
    if "import" in extras:
        found = extras["import"]
        parts.append(
            f"Import: numpy {found['numpy_ms']:.1f} ms, cgru {found['cgru_ms']:.1f} ms, "
            f"difference {found['over_numpy_ms']:.1f} ms (medians of {found['runs']})"
        )
    if "threads" in extras:
        found = extras["threads"]
        bits = "same bits" if found["same_bits"] else "DIFFERENT BITS"
        parts.append(
            f"Threads at {found['point']}: one {found['one']['median'] / 1e3:.0f} us, "
            f"two {found['two']['median'] / 1e3:.0f} us, {found['speedup']:.2f}x, {bits}"
        )
    if "gates" in extras:
        parts.append(_gates(extras["gates"]))
    return "\n\n".join(parts)


def _gates(found):
    rows = []
    for cell, one in found["cells"].items():
        for width, at in one["widths"].items():
            cells = [one["loop_ns"], at["pass_ns"], at["outside_ns"], at["products_ns"], at["call_ns"]]
            ratios = [cells[1] and cells[1] / cells[0], cells[2] / cells[0]]
            rows.append([f"{cell.upper()} H={width}", *map(digits, cells), *map(digits, ratios)])
    header = ["", "loop", "pass", "outside", "products", "call", "pass/loop", "outside/loop"]
    missing = f"\nno pass: {found['pass_missing']}" if found["pass_missing"] else ""
    return (
        f"Gates at T={found['steps']} N={found['rows']} I=1, ns per unit and step: a plain loop in C, the "
        f"engine's pass alone, all outside the products\n{table(header, rows)}{missing}"
    )


def failures(results):
    lines = [
        f"{point['key']} {name}: {reason}" for point in results["points"] for name, reason in point["failures"].items()
    ]
    lines += [f"{name}: {reason}" for name, reason in results.get("extras_failures", {}).items()]
    return "Failed or wrong, therefore not timed:\n" + "\n".join(lines) if lines else ""


def goals_text(goals):
    """The verdicts: how many of each, and a table of those that were measured."""
    words = {True: "pass", False: "MISS", None: "not measured"}
    rows = [
        [
            goal["goal"],
            f"{goal['sense']} {digits(goal['target'])}",
            digits(goal["measured"]),
            goal["unit"],
            words[goal["passed"]],
            goal["note"],
        ]
        for goal in goals
        if goal["measured"] is not None
    ]
    counts = {verdict: sum(goal["passed"] is verdict for goal in goals) for verdict in words}
    summary = ", ".join(f"{counts[verdict]} {word}" for verdict, word in words.items())
    if not goals:
        return ""
    if not rows:
        return f"Goals: {summary}"
    header = ["goal", "target", "measured", "", "verdict", "note"]
    # Notes are left-aligned by being last and unpadded.
    width = max(len(row[-1]) for row in [header, *rows])
    for row in [header, *rows]:
        row[-1] = row[-1].ljust(width)
    return f"Goals: {summary}\n{table(header, rows)}"


def shape(point):
    words = f"H={point['H']}" if point["H"] == point["I"] else f"I={point['I']} H={point['H']}"
    if point.get("layers", 1) > 1:
        words = f"{point['layers']} layers {words}"
    return words + (" both ways" if point.get("directions", 1) == 2 else "")
