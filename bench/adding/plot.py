"""The adding problem's picture: error against step, a panel per length and network, a line per seed."""

from matplotlib.figure import Figure

from bench.adding.settings import CHANCE

# Okabe and Ito's colours, told apart by colour-blind readers.
COLOURS = {"RNN": "#0072B2", "GRU": "#D55E00", "LSTM": "#009E73"}
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))


def draw(results, path):
    """Draw the curves of `run.main`; returns the path."""
    runs = results["runs"]
    lengths = sorted({run["length"] for run in runs})
    networks = [name for name in COLOURS if any(run["network"] == name for run in runs)]
    figure = Figure(figsize=(3.6 * len(networks) + 0.4, 3.0 * len(lengths) + 0.6), layout="constrained")
    axes = figure.subplots(len(lengths), len(networks), sharex=True, sharey=True, squeeze=False)
    lowest = min(min(run["error"]) for run in runs)
    for row, length in zip(axes, lengths, strict=True):
        for axis, network in zip(row, networks, strict=True):
            chosen = [run for run in runs if (run["network"], run["length"]) == (network, length)]
            _draw_panel(axis, chosen, network, results["settings"]["solved_below"])
            rate = results["settings"]["rate"][network]
            axis.set_title(f"{network}, T = {length} (rate {rate:g})", fontsize=11)
            axis.set_ylim(lowest / 1.5, 1.2)
    for axis in axes[-1]:
        axis.set_xlabel("training step")
    for axis in axes[:, 0]:
        axis.set_ylabel("mean squared error")
    axes[0, 0].legend(loc="lower left", fontsize=8.5, frameon=False)
    settings = results["settings"]
    figure.suptitle(
        f"Adding problem, trained by cgru: H = {settings['hidden_size']}, Adam, "
        f"{settings['batch']} new sequences a step",
        fontsize=12,
    )
    figure.savefig(path, dpi=100)
    return path


def _draw_panel(axis, runs, network, solved):
    for run in runs:
        axis.plot(
            run["steps"], run["error"], color=COLOURS[network], linestyle=DASHES[run["seed"] % len(DASHES)],
            linewidth=1.6, label=f"seed {run['seed']}",
        )  # fmt: skip
    style = {"fontsize": 8, "color": "0.35", "ha": "right", "transform": axis.get_yaxis_transform()}
    for level, text in ((CHANCE, "always answering 1"), (solved, "solved")):
        axis.axhline(level, color="0.55", linewidth=0.9, zorder=1)
        axis.text(0.99, level * 1.12, text, va="bottom", clip_on=True, **style).set_in_layout(False)
    axis.set_yscale("log")
    axis.grid(color="0.92")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
