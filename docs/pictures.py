"""The pictures of the pages: `python docs/pictures.py [FOLDER]`, by default into docs/pictures.

Needs matplotlib (cgru[plot]). What they show is computed by cgru when they are drawn, with fixed seeds, or was
recorded in bench/.
"""

import json
import sys
from itertools import accumulate
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

import cgru

BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#8B4A9C", "0.55"
LAGS = 100
ADDING = Path(__file__).parents[1] / "bench" / "adding" / "results" / "amd-epyc-family-26-model-2" / "results.json"


# ---- what a gradient is multiplied by


def with_update_bias(gru, bias):
    """The same weights, with another bias of z, z being the share of the new."""
    parameters, H = gru.state_dict(), gru.hidden_size
    parameters["bias_ih_l0"][H : 2 * H] = -bias     # PyTorch's z is the share of the old
    parameters["bias_hh_l0"][H : 2 * H] = 0
    return cgru.GRU.from_state_dict(parameters)


def arriving(model, x):
    """The norm of d h_T / d h_(T-k) for k = 1 to T: of products of the Jacobians of the steps."""
    y, _ = model(x)
    before = np.concatenate([np.zeros((1, model.hidden_size)), y[:-1]])
    jacobians = model.jacobian(x, before)
    return np.array([np.linalg.norm(product, 2) for product in accumulate(jacobians[::-1], np.matmul)])


def decay():
    """RNN, GRU at first and GRU that keeps: how much arrives k steps back, and what the gate alone lets through."""
    H = 64
    x = np.random.default_rng(0).standard_normal((150, H))
    rnn, gru = (kind(H, H, dtype=np.float64, rng=0) for kind in (cgru.RNN, cgru.GRU))
    keeps = with_update_bias(gru, -4)
    *_, gates = keeps.trace(x)
    shares = np.cumprod(gates.z[0][::-1], axis=0)[:LAGS]
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    lags = np.arange(1, LAGS + 1)
    for model, label, colour in (
        (rnn, "RNN", BLUE), (gru, "GRU, as drawn", GREEN), (keeps, "GRU, bias of z at -4", VERMILION)
    ):  # fmt: skip
        norms = arriving(model, x)[:LAGS]
        left.plot(lags, norms, color=colour, label=label)
    left.set(yscale="log", ylim=(1e-33, 10), ylabel=r"norm of $\partial h_T / \partial h_{T-k}$")
    left.set_title("what arrives k steps back", fontsize=10)
    left.legend(frameon=False, loc="lower left")
    right.plot(lags, shares, color=GREY, linewidth=0.6)
    right.plot([], [], color=GREY, linewidth=0.6, label="product of 1 - z, each of 64 units")
    right.plot(lags, arriving(keeps, x)[:LAGS], color=VERMILION, label="GRU, bias of z at -4: the norm")
    right.set(ylim=(0, 1.03))
    right.set_title("the gate's own share of it", fontsize=10)
    right.legend(frameon=False, loc="upper right")
    for axes in (left, right):
        plain(axes)
        axes.set_xlabel("k, steps back")
    return figure


def learning():
    """The recorded runs of the adding problem: the error on test sequences while the three learn."""
    recorded = json.loads(ADDING.read_text(encoding="utf-8"))
    lengths = sorted({run["length"] for run in recorded["runs"]})
    figure = Figure(figsize=(8.6, 3.4), layout="constrained")
    for axes, length in zip(figure.subplots(1, len(lengths), sharey=True), lengths, strict=True):
        for network, colour in (("RNN", BLUE), ("GRU", VERMILION), ("LSTM", GREEN)):
            runs = [run for run in recorded["runs"] if (run["network"], run["length"]) == (network, length)]
            for run in runs:
                axes.plot(run["steps"], run["error"], color=colour, linewidth=1.1)
            axes.plot([], [], color=colour, label=f"{network}, {len(runs)} seeds")
        axes.axhline(1 / 6, color=GREY, linestyle=":")
        axes.set(yscale="log", xlabel="training steps")
        axes.set_title(f"T = {length}; dotted: always answering 1", fontsize=10)
        plain(axes)
    figure.axes[0].set_ylabel("mean squared error")
    figure.axes[-1].legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.75))
    return figure


# ---- one unit that remembers


def one_unit():
    """A GRU of one unit, two inputs (a value, a mark): it takes the value where the mark is 1, and keeps it."""
    W_r, W_z, W_h = [[0, 0, 0]], [[0, 0, 20]], [[0, 1, 0]]      # columns: h, value, mark
    return cgru.GRU.from_equations(W_r, W_z, W_h, b_z=[-10], dtype=np.float64)


def memory():
    """The unit and a plain RNN on the same values, of which two are marked."""
    T, marked = 100, [10, 60]
    values = np.random.default_rng(3).uniform(-1, 1, T)
    values[marked] = 0.9, -0.7
    marks = np.zeros(T)
    marks[marked] = 1
    x = np.stack([values, marks], axis=1)
    y, _, gates = one_unit().trace(x)
    rnn = cgru.RNN.from_state_dict({"weight_ih_l0": [[0.0, 1.0]], "weight_hh_l0": [[0.9]]}, dtype=np.float64)
    held, _ = rnn(x * values[:, None])      # the mark, times the value: only what is marked goes in
    figure = Figure(figsize=(8.6, 4.2), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(1, 0.6, 1.3))
    top.vlines(np.arange(T), 0, values, color=GREY, linewidth=1)
    top.vlines(marked, 0, values[marked], color=VERMILION, linewidth=3)
    top.set_ylabel("x")
    top.set_title("x: a value at each step; the marked ones are red", fontsize=10, loc="left")
    middle.plot(1 - gates.z[0, :, 0], color=PURPLE, drawstyle="steps-mid")
    middle.set(ylabel="z", ylim=(-0.1, 1.1), yticks=(0, 1))
    bottom.plot(y[:, 0], color=VERMILION, label="GRU of one unit")
    bottom.plot(held[:, 0], color=BLUE, label="RNN of one unit, U = 0.9, given the marked values alone")
    bottom.set(ylabel="h", xlabel="t, steps", xlim=(-1, T))
    bottom.legend(frameon=False, loc="lower left")
    for axes in (top, middle, bottom):
        plain(axes)
    return figure


# ---- the four kinds


def kinds():
    """Where the reset gate acts, and what the update gate means: two times two."""
    figure = Figure(figsize=(8.6, 5.6), layout="constrained")
    whose = {
        (True, True): "PyTorch, Keras (default), cuDNN, Flax, MLX,\nRTNeural, ONNX linear_before_reset=1",
        (True, False): "madmom",
        (False, True): "ONNX linear_before_reset=0 (default), TFLite,\nKeras reset_after=False, TensorFlow 1",
        (False, False): "the equations of 2014 (Chung et al.), Haiku,\nPaddle (default)",
    }
    for axes, ((after, keeps), systems) in zip(figure.subplots(2, 2).flat, whose.items(), strict=True):
        axes.set(xlim=(0, 10), ylim=(-0.6, 6.2), aspect="equal")
        axes.set_axis_off()
        places = ((2.4, "U"), (4.1, "r")) if after else ((2.4, "r"), (4.1, "U"))
        for at, name in places:
            gate(axes, at, 4.4, name) if name == "r" else box(axes, at, 4.4, "$U_n$")
        adding(axes, 5.6, 4.4)
        box(axes, 7.1, 4.4, "tanh")
        for start, end in ((0.75, 1.75), (3.05, 3.45), (4.75, 5.25), (5.95, 6.45), (7.75, 8.5)):
            arrow(axes, (start, 4.4), (end, 4.4))
        arrow(axes, (5.6, 5.55), (5.6, 4.8))
        axes.text(5.6, 5.75, "$W_n x$ and biases", ha="center", fontsize=9)
        axes.text(0.45, 4.4, "$h$", ha="center", va="center", fontsize=12)
        axes.text(8.8, 4.4, "$n$", ha="center", va="center", fontsize=12)
        old, new = ("z", "(1-z)") if keeps else ("(1-z)", "z")
        gate(axes, 3.2, 1.7, old, PURPLE)
        gate(axes, 8.8, 3.1, new, PURPLE, 0.62)
        arrow(axes, (8.8, 4.05), (8.8, 3.75))
        axes.plot([0.45, 0.45], [4.0, 1.7], color="black", linewidth=1)
        arrow(axes, (0.45, 1.7), (2.55, 1.7))
        adding(axes, 8.8, 1.7)
        arrow(axes, (8.8, 2.46), (8.8, 2.1))
        arrow(axes, (3.85, 1.7), (8.45, 1.7))
        arrow(axes, (9.15, 1.7), (9.6, 1.7))
        axes.text(9.85, 1.7, "$h'$", ha="center", va="center", fontsize=12)
        heads = "reset after" if after else "reset before", "z keeps the old" if keeps else "z takes the new"
        axes.set_title(", ".join(heads), fontsize=10.5, fontweight="bold" if keeps else None)
        axes.text(0.2, 0.55, systems, va="top", fontsize=8.5, color="0.25")
    return figure


def box(axes, x, y, text):
    axes.add_patch(FancyBboxPatch((x - 0.5, y - 0.4), 1, 0.8, boxstyle="round,pad=0.1", fc="0.93", ec="black"))
    axes.text(x, y, text, ha="center", va="center", fontsize=10)


def gate(axes, x, y, text, colour=VERMILION, radius=0.62):
    axes.add_patch(Circle((x, y), radius, fc="white", ec=colour, linewidth=1.8))
    size = 7.5 if len(text) > 1 else 10.5
    axes.text(x, y, rf"$\times {text}$", ha="center", va="center", fontsize=size, color=colour)


def adding(axes, x, y):
    axes.add_patch(Circle((x, y), 0.32, fc="white", ec="black"))
    axes.text(x, y, "+", ha="center", va="center", fontsize=11)


def arrow(axes, start, end):
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black", "shrinkA": 0, "shrinkB": 0})


def plain(axes):
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


PICTURES = {"decay": decay, "learning": learning, "memory": memory, "kinds": kinds}


def main(folder):
    """Draw all pictures."""
    for name, draw in PICTURES.items():
        draw().savefig(Path(folder) / f"{name}.png", dpi=110)


if __name__ == "__main__":
    main(*(sys.argv[1:] or [str(Path(__file__).with_name("pictures"))]))
