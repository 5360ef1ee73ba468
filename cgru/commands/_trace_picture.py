"""The picture of ``cgru trace``: r, z, n and h over time as heat maps."""

import io
import os

import numpy as np

from cgru.commands._exit import need
from cgru.commands._models import writable
from cgru.files import whole_file

_FORMATS = (".png", ".pdf", ".svg")
_TITLES: dict = {
    "r": "r, reset gate: share of the old state that the candidate sees",
    "z": "z, update gate: share of the old state that is kept",
    "z, new": "z, update gate: share of the candidate that is taken",
    "n": "n, candidate state",
    "h": "h, state",
}


def check(path):
    """Refuse, before any work is done, what `draw` cannot write."""
    writable(path, _FORMATS, "--plot")
    need("matplotlib", "--plot", "cgru[plot]")


def draw(path, arrays, first, title, z_is):
    """Draw arrays r, z, n, h (T, H), whose first row is step `first`."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no window

    steps, units = arrays["h"].shape
    figure = Figure(figsize=(12, 11), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True)
    edges = (first - 0.5, first + steps - 0.5, units - 0.5, -0.5)
    for axes, (name, array) in zip(panels, arrays.items(), strict=True):
        heading = _TITLES["z, new" if (name, z_is) == ("z", "new") else name]
        image = axes.imshow(
            array.T, aspect="auto", interpolation="nearest", extent=edges, **_colours(name, arrays)
        )  # fmt: skip
        axes.set_title(heading, loc="left", fontsize=11)
        axes.set_ylabel("unit")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.get_major_locator().set_params(integer=True)
        figure.colorbar(image, ax=axes, pad=0.01, aspect=12)
    panels[-1].set_xlabel("step")
    figure.suptitle(title, fontsize=12)
    picture = io.BytesIO()
    figure.savefig(picture, format=os.path.splitext(path)[1][1:].lower(), dpi=140)
    with whole_file(path) as file:
        file.write(picture.getvalue())


def _colours(name, arrays):
    """Gates from 0 to 1, n and h on one scale around 0; wider where activations go beyond these."""
    if name in "rz":
        values = _finite(arrays[name])
        return {"cmap": "PuOr_r", "vmin": min(0, values.min()), "vmax": max(1, values.max())}
    size = max(np.abs(_finite(arrays[which])).max() for which in "nh")
    size = 1 if 0.5 < size <= 1 else size or 1
    return {"cmap": "RdBu_r", "vmin": -size, "vmax": size}


def _finite(array):
    return np.append(array[np.isfinite(array)], 0)
