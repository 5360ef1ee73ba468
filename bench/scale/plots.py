"""Pictures of the sets and the pools."""

from matplotlib.figure import Figure

from bench.scale.pools_contestants import BATCH, ONE_BY_ONE, ORT, POOL
from bench.scale.sets_contestants import CGRU, RAY, READ

# Okabe and Ito's colours, told apart by colour-blind readers.
COLOURS = {CGRU: "#D55E00", RAY: "#E69F00", READ: "#999999"}
OTHERS = "#0072B2"
STYLES = {
    POOL: {"color": "#D55E00", "marker": "o"},
    BATCH: {"color": "#999999", "marker": "", "linestyle": "--"},
    ONE_BY_ONE: {"color": "#56B4E9", "marker": "^"},
    ORT: {"color": "#0072B2", "marker": "s"},
}


def draw(found, folder):
    """Write sets.png and pools.png for the parts that there are; their paths."""
    pictures = {"sets": sets, "pools": pools}
    written = []
    for name, of in pictures.items():
        if name in found["parts"]:
            written.append(folder / f"{name}.png")
            of(found["parts"][name]).savefig(written[-1], dpi=110)
    return written


def sets(part):
    """Rows a second and peak memory, a bar for each contestant. Reading alone is not among the rates: it is none."""
    contestants = part["contestants"]
    names = list(contestants)[::-1]
    figure = Figure(figsize=(11, 1.5 + 0.36 * len(names)), layout="constrained")
    rate, memory = figure.subplots(1, 2, sharey=True)
    for name in names:
        one = contestants[name]
        color = COLOURS.get(one["kind"], OTHERS)
        height = one["rows_per_s"] if one["kind"] != READ else 0
        rate.barh(name, height, color=color)
        rate.text(height, name, f" {height:,.0f}" if height else " ", va="center", fontsize=9)
        peak, before = (one[key] or 0 for key in ("peak", "resident"))
        memory.barh(name, peak / 1e6, color=color)
        memory.barh(name, min(before, peak) / 1e6, color="white", alpha=0.6)
        memory.text(peak / 1e6, name, f" {peak / 1e6:,.0f}" if peak else " ", va="center", fontsize=9)
    rate.set_xlabel("sequences a second, from file to file")
    memory.set_xlabel("peak memory, MB (pale: before the first row)")
    for axis in (rate, memory):
        axis.set_xlim(0, 1.18 * max(axis.get_xlim()[1], 1e-9))
        _tidy(axis, "x")
    figure.suptitle(f"{part['rows']:,} sequences of {part['what']}, {part['machine']['cpu']}", fontsize=11)
    return figure


def pools(part):
    """The number of streams against H, a line for each way."""
    figure = Figure(figsize=(7.5, 5.2), layout="constrained")
    axis = figure.subplots()
    widths = [int(H) for H in part["sizes"]]
    for name, style in STYLES.items():
        held = {H: size["ways"][name]["streams"] for H, size in part["sizes"].items() if name in size["ways"]}
        if held:
            axis.plot([int(H) for H in held], list(held.values()), label=name, linewidth=1.8, **style)
            if name == POOL:
                for H, streams in held.items():
                    axis.annotate(f"{streams:,}", (int(H), streams), (4, 7), textcoords="offset points", fontsize=9)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xticks(widths, [str(H) for H in widths])
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.set_xlabel("hidden units H (inputs: half as many)")
    axis.set_ylabel("streams")
    axis.set_title(
        f"GRU streams that one core holds at a tick of {part['tick_ms']:g} ms (p99 below)\n{part['machine']['cpu']}",
        fontsize=11,
    )
    axis.legend(frameon=False)
    _tidy(axis, "both")
    return figure


def _tidy(axis, grid):
    axis.grid(axis=grid, color="0.92")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
