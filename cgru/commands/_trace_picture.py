"""The picture of ``cgru trace``: gates and states over time as heat maps."""

import numpy as np

from cgru.commands._pictures import AROUND_0, FROM_0_TO_1, new_figure, whole_numbers

_TITLES: dict = {
    "r": "r, reset gate: share of the old state that the candidate sees",
    "z": "z, update gate: share of the old state that is kept",
    "z, new": "z, update gate: share of the candidate that is taken",
    "n": "n, candidate state",
    "i": "i, input gate: share of the candidate that is added",
    "f": "f, forget gate: share of the old cell state that is kept",
    "g": "g, candidate",
    "o": "o, output gate: share of the cell state that is shown",
    "c": "c, cell state",
    "h": "h, state",
}


def figure(arrays, first, title, z_is, gates):
    """Draw arrays (T, H) by their letters, whose first row is step `first`; `gates` are the letters of shares."""
    steps, units = arrays["h"].shape
    drawing = new_figure(12, 1 + 2.5 * len(arrays))
    panels = drawing.subplots(len(arrays), 1, sharex=True, squeeze=False)[:, 0]
    edges = (first - 0.5, first + steps - 0.5, units - 0.5, -0.5)
    for axes, (name, array) in zip(panels, arrays.items(), strict=True):
        image = axes.imshow(
            array.T, aspect="auto", interpolation="nearest", extent=edges, **_colours(name, arrays, gates)
        )  # fmt: skip
        axes.set_title(_TITLES["z, new" if (name, z_is) == ("z", "new") else name], loc="left", fontsize=11)
        axes.set_ylabel("unit")
        whole_numbers(axes.xaxis)
        whole_numbers(axes.yaxis)
        drawing.colorbar(image, ax=axes, pad=0.01, aspect=12)
    panels[-1].set_xlabel("step")
    drawing.suptitle(title, fontsize=12)
    return drawing


def _colours(name, arrays, gates):
    """Gates from 0 to 1, the others on a scale around 0, candidate and h on one; wider where they go beyond these."""
    if name in gates:
        values = _finite(arrays[name])
        return {"cmap": FROM_0_TO_1, "vmin": min(0, values.min()), "vmax": max(1, values.max())}
    alike = "c" if name == "c" else set(arrays) - {*gates, "c"}
    size = max(np.abs(_finite(arrays[which])).max() for which in alike)
    size = 1 if 0.5 < size <= 1 else size or 1
    return {"cmap": AROUND_0, "vmin": -size, "vmax": size}


def _finite(array):
    return np.append(array[np.isfinite(array)], 0)
