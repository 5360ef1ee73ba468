"""Pictures: time over the limit against H, and the loss curves of the language model."""

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from bench.training import goals
from bench.training.contestants import BRIDGE, CGRU, PEER

# Okabe and Ito's colours, told apart by colour-blind readers.
STYLES = {
    PEER: {"color": "#0072B2", "marker": "s"},
    BRIDGE: {"color": "#E69F00", "marker": "^"},
    CGRU: {"color": "#D55E00", "marker": "o"},
}
LINES = ("-", "--", ":", "-.")  # by number of threads
TICKS = [1, 1.5, 2, 3, 5, 10, 20, 50, 100]
HIGHEST = 60  # above it lies what a call costs at small sizes


def draw(parts, folder):
    """Write limit.png and curves.png for the parts that there are; their paths."""
    written = []
    for name, part, of in (("limit", "steps", limit), ("curves", "text", curves)):
        if part in parts:
            figure = of(parts[part])
            if figure is not None:
                written.append(folder / f"{name}.png")
                figure.savefig(written[-1], dpi=110)
    return written


def limit(part):
    """A panel for each cell and N; None where no limit was measured."""
    points = [line for line in part["points"] if line["limit_ns"]]
    if not points:
        return None
    cells = list(dict.fromkeys(line["cell"] for line in points))
    rows = sorted({line["N"] for line in points})
    figure = Figure(figsize=(max(8, 2 + 3.9 * len(rows)), 1.3 + 3.5 * len(cells)), layout="constrained")
    axes = figure.subplots(len(cells), len(rows), squeeze=False, sharex=True, sharey=True)
    handles = {}
    for across, cell in zip(axes, cells, strict=True):
        for axis, N in zip(across, rows, strict=True):
            found = [line for line in points if (line["cell"], line["N"]) == (cell, N)]
            handles |= limit_panel(axis, sorted(found, key=lambda line: line["H"]), part["threads"])
            if (cell, N) == ("gru", goals.ROWS):
                widths = [H for H in sorted(goals.OVER_LIMIT) if any(line["H"] == H for line in found)]
                marks = {"color": "black", "linestyle": "", "marker": "_", "markersize": 16, "markeredgewidth": 2}
                (handles["goal, 1 thread"],) = axis.plot(widths, [goals.OVER_LIMIT[H] for H in widths], **marks)
            axis.set_title(f"{cell.upper()}, N = {N}", fontsize=11)
        across[0].set_ylabel("time over the limit")
    for axis in axes[-1]:
        axis.set_xlabel("hidden units H (= inputs I)")
    scale(axes, sorted({line["H"] for line in points}))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(4, len(handles)), frameon=False)
    figure.suptitle(f"A training step over the limit, T = {part['T']}, float32\n{part['machine']['cpu']}", fontsize=12)
    return figure


def limit_panel(axis, points, threads):
    """The lines of a panel, by their names in the legend."""
    handles = {}
    for line, count in zip(LINES, threads, strict=False):
        for who, style in STYLES.items():
            found = [(point["H"], goals.over_limit(point, who, str(count))) for point in points]
            found = [(H, height) for H, height in found if height]
            if found:
                name = f"{who}, {count} thread{'s' * (count > 1)}"
                look = style | {"linestyle": line, "fillstyle": "full" if count == 1 else "none"}
                (handles[name],) = axis.plot(*zip(*found, strict=True), markersize=5, linewidth=1.6, **look)
    axis.axhline(1, color="black", linewidth=1)
    return handles


def scale(axes, widths):
    """Logarithmic axes, the same for all panels."""
    heights = [height for axis in axes.flat for line in axis.lines for height in line.get_ydata()]
    for axis in axes.flat:
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(widths, [str(H) for H in widths])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(FixedLocator(TICKS))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_ylim(0.9, min(HIGHEST, 1.15 * max(heights)))
        tidy(axis)


def curves(part):
    """The losses of the three runs, laid over each other; below, how far two of them are from float64's."""
    styles = {
        part["exact"]: {"color": "0.75", "linewidth": 6},
        part["peer"]: {"color": STYLES[PEER]["color"], "linewidth": 2.4, "linestyle": (0, (4, 3))},
        part["own"]: {"color": STYLES[CGRU]["color"], "linewidth": 1.2},
    }
    names = list(part["optimizers"])
    figure = Figure(figsize=(1 + 5.4 * len(names), 7), layout="constrained")
    axes = figure.subplots(2, len(names), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 2))
    for (above, below), name in zip(axes.T, names, strict=True):
        runs = part["optimizers"][name]["runs"]
        exact = runs[part["exact"]]["losses"]
        for who, style in styles.items():
            losses, seconds = runs[who]["losses"], runs[who]["seconds"]
            above.plot(range(1, len(losses) + 1), losses, label=f"{who}: {seconds:.1f} s", **style)
            if who != part["exact"]:
                far = [abs(a - b) for a, b in zip(losses, exact, strict=True)]
                below.plot(range(1, len(far) + 1), far, label=who, **style | {"linewidth": 1.2, "linestyle": "-"})
        above.axhline(part["nats"], color="black", linewidth=1, linestyle=":", label="who knows the grammar")
        above.set_ylim(bottom=0)
        above.set_title(name, fontsize=11)
        above.legend(frameon=False, fontsize=9)
        below.set_yscale("log")
        below.set_xlabel("steps of the optimizer")
        for axis in (above, below):
            tidy(axis)
    axes[0, 0].set_ylabel("loss, nats a symbol")
    axes[1, 0].set_ylabel("distance from the float64 run's")
    threads = f"{part['threads']} thread{'s' * (part['threads'] > 1)}"
    what = f"A small language model, {part['layers']} layers of GRU({part['hidden']}), {threads}"
    figure.suptitle(f"{what}: {part['machine']['cpu']}", fontsize=12)
    return figure


def tidy(axis):
    """A pale grid, no frame."""
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
