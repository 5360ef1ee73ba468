"""The experiment's picture: what goes in, what the amplifier makes of it and what the network does."""

import numpy as np
from matplotlib.figure import Figure

from bench.audio.settings import RATE

MILLISECONDS = 12
# Okabe and Ito's colours, told apart by colour-blind readers.
INPUT, TARGET, NETWORK, ERROR = "#56B4E9", "#333333", "#D55E00", "#0072B2"


def draw(net, x, target, found, path):
    """Draw a loud and a soft moment of the test signal, and the way of the ESR; returns the path."""
    y, _ = net(x)
    figure = Figure(figsize=(12.5, 6.2), layout="constrained")
    grid = figure.subplots(2, 3, width_ratios=(1, 1, 0.8))
    for column, (name, at) in enumerate(moments(target).items()):
        span = slice(at, at + MILLISECONDS * RATE // 1000)
        clock = 1000 * np.arange(span.stop - span.start) / RATE
        above, below = grid[:, column]
        above.plot(clock, x[span, 0], color=INPUT, linewidth=1.4)
        above.set_title(f"{name}, {at / RATE:.2f} s: the strings")
        below.plot(clock, target[span, 0], color=TARGET, linewidth=3, alpha=0.45, label="amplifier")
        below.plot(clock, y[span, 0], color=NETWORK, linewidth=1.2, label="network")
        below.plot(clock, 10 * (y - target)[span, 0], color=ERROR, linewidth=0.9, label="10 times the difference")
        below.set_title("the amplifier, and the network")
        below.set_xlabel("milliseconds")
        for axis in (above, below):
            axis.set_xlim(0, MILLISECONDS)
    for axis in grid[:, 0]:
        axis.set_ylabel("amplitude")
    handles, labels = grid[1, 0].get_legend_handles_labels()
    grid[0, 2].axis("off")
    grid[0, 2].legend(handles, labels, loc="center", frameon=False, fontsize=11)
    _draw_curve(grid[1, 2], found["training"]["esr"])
    for axis in grid.flat:
        axis.grid(color="0.92")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    hidden = net.layers[0].hidden_size
    figure.suptitle(
        f"GRU(1, {hidden}), Linear({hidden}, 1) and a skip, trained by cgru: ESR {found['stream']['esr']:.2%} on "
        f"{found['stream']['seconds']:.0f} s that it has not seen",
        fontsize=12.5,
    )
    figure.savefig(path, dpi=100)
    return path


def moments(target):
    """Where a loud and a soft moment begin, by the target's energy: sample numbers."""
    length = MILLISECONDS * RATE // 1000
    energy = np.square(target[: len(target) // length * length, 0], dtype=np.float64).reshape(-1, length).mean(axis=1)
    order = np.argsort(energy)
    return {name: int(order[int(share * (len(order) - 1))]) * length for name, share in (("loud", 0.97), ("soft", 0.2))}


def _draw_curve(axis, esr):
    axis.plot(range(len(esr)), esr, color=NETWORK, linewidth=1.6)
    axis.set_yscale("log")
    axis.set_xlabel("epoch")
    axis.set_title("ESR on the test signal")
