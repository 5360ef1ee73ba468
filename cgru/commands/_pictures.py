"""What every picture of the command line shares: its file, its colours, its plain axes."""

import io
import os

from cgru.commands._exit import need, writable
from cgru.files import whole_file

FORMATS = (".png", ".pdf", ".svg")

# Okabe and Ito's colours, told apart by colour-blind readers
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
# nine that can be told apart with any common colour deficiency: Paul Tol's "muted" scheme
NINE = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499")
WRONG = "#B2182B"  # against blues
FROM_0_TO_1, AROUND_0 = "PuOr_r", "RdBu_r"  # colour maps


def check(args):
    """Refuse, before any work is done, a --plot that `save` cannot write to, or a Python without matplotlib."""
    writable(args.plot, FORMATS, "--plot", args)
    need("matplotlib", "--plot", "cgru[plot]")


def new_figure(width, height):
    """An empty figure, sizes in inches."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no window

    return Figure(figsize=(width, height), layout="constrained")


def plain(axes):
    """A pale grid behind the curves, and no frame on the right and above."""
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def whole_numbers(axis):
    """Let an axis of steps or units have ticks at integers only."""
    axis.get_major_locator().set_params(integer=True)


def save(figure, path):
    """Write a figure in the format that the suffix names; the file is complete, or it is not there."""
    picture = io.BytesIO()
    figure.savefig(picture, format=os.path.splitext(path)[1][1:].lower(), dpi=150)
    with whole_file(path) as file:
        file.write(picture.getvalue())
