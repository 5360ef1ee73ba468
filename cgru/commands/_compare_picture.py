"""The picture of ``cgru compare``: gradient norm against lag, one panel per setting."""

import numpy as np

from cgru.commands._pictures import BLUE, GREEN, VERMILION, new_figure, plain

# dashes and markers say what the colours say
STYLES = {
    "RNN": {"color": BLUE, "marker": "s", "linestyle": "-"},
    "GRU": {"color": VERMILION, "marker": "o", "linestyle": "-"},
    "kept": {"color": "black", "linestyle": (0, (1, 1.2)), "linewidth": 2.2},
    "LSTM, h": {"color": GREEN, "marker": "^", "linestyle": "-"},
    "LSTM, c": {"color": GREEN, "marker": "v", "linestyle": (0, (4, 1.5)), "markerfacecolor": "white"},
}
LABELS = {
    "RNN": "RNN",
    "GRU": "GRU",
    "kept": "GRU: product of $1 - z$",
    "LSTM, h": r"LSTM: $\partial h_T / \partial h_{T-k}$",
    "LSTM, c": r"LSTM: $\partial h_T / \partial c_{T-k}$",
}
LOWEST = 1e-16  # below this, relative to 1, a gradient is lost in float64's rounding


def figure(panels, input_size, equal_hidden, equal_parameters):
    """Draw all panels.

    Parameters
    ----------
    panels : list of (str, str, dict of str to Flow)
        Block ("equal hidden size", "equal parameter count" or "demo"), setting and flows.
    input_size : int
    equal_hidden, equal_parameters : dict of str to int
        Hidden sizes of the two blocks.

    Returns
    -------
    matplotlib.figure.Figure
    """
    blocks = {name: [panel[1:] for panel in panels if panel[0] == name] for name, *_ in panels}
    demo = blocks.pop("demo")
    columns = max(len(block) for block in blocks.values()) + 1
    drawing = new_figure(3.5 * columns, 7.6)
    axes = drawing.subplots(2, columns)
    handles: dict = {}
    for row, (name, block), hidden in zip(
        axes, blocks.items(), (equal_hidden, equal_parameters), strict=True
    ):
        for axis, (setting, flows) in zip(row, block, strict=False):
            handles |= _draw(axis, flows, LOWEST)
            axis.set_title(setting, fontsize=11)
        sizes = ", ".join(f"{network} {H}" for network, H in hidden.items())
        row[0].set_ylabel(
            f"{name}\n(hidden units: {sizes})\n\n" + r"norm of $\partial h_T / \partial h_{T-k}$"
        )
    setting, flows = demo[0]
    handles |= _draw(axes[0, -1], flows, None)
    axes[0, -1].set_title(setting.replace(", ", "\n", 1) + "\n(RNN and LSTM untrained)", fontsize=10)
    for axis in [*axes[1, :-1], axes[0, -1]]:
        axis.set_xlabel("lag k, steps back")
    axes[1, -1].set_axis_off()
    axes[1, -1].legend(
        [handles[name] for name in STYLES],
        [LABELS[name] for name in STYLES],
        loc="center",
        frameon=False,
        fontsize=11,
        handlelength=3.2,
        labelspacing=0.9,
    )
    drawing.suptitle(
        f"How much of a gradient arrives k steps back (I = {input_size}; z and its bias as in "
        "$h_t = (1 - z_t) h_{t-1} + z_t n_t$; largest singular value)"
    )
    return drawing


def _draw(axis, flows, lowest):
    """Draw the curves of one panel; thin ones are of untrained networks beside a trained one."""
    handles: dict = {}
    trained = {name for name in flows if ", untrained" not in name}
    for name, flow in flows.items():
        network = name.partition(",")[0]
        reference = len(trained) < len(flows) and name not in trained
        if reference and network in trained:
            continue  # the trained network alone: its like is in the panel at initialisation
        curves = {network: flow.h} if flow.c is None else {"LSTM, h": flow.h, "LSTM, c": flow.c}
        if flow.kept is not None:
            curves["kept"] = flow.kept
        for label, curve in curves.items():
            (handles[label],) = _curve(axis, curve, STYLES[label])
    axis.set_yscale("log")
    axis.set_xlim(left=0)
    if lowest is not None:
        axis.set_ylim(lowest, 10)
    plain(axis)
    return handles


def _curve(axis, log_norms, style):
    lags = np.flatnonzero(log_norms > -700)  # exp of less is 0, which no log axis shows
    every = max(1, len(log_norms) // 8)
    return axis.plot(
        lags, np.exp(log_norms[lags]), **{"linewidth": 1.6, "markersize": 5, "markevery": every, **style}
    )
