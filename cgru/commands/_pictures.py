"""What every picture that the command line draws shares."""

from io import BytesIO
from pathlib import Path

from cgru.commands._exit import need

FORMATS = (".png", ".pdf", ".svg")


def check(path):
    """Refuse, before any work is done, a file name that `save` cannot write to."""
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"--plot {path}: expected a name that ends with one of {', '.join(FORMATS)}")
    if path.is_dir():
        raise IsADirectoryError(f"--plot {path}: this is a directory, expected a file name")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"--plot {path}: there is no such directory; make it first")
    need("matplotlib", "--plot", "cgru[plot]")


def save(figure, path):
    """Write a Matplotlib figure in the format that the suffix names, whole or not at all."""
    picture = BytesIO()
    figure.savefig(picture, format=Path(path).suffix[1:].lower(), dpi=150)
    Path(path).write_bytes(picture.getvalue())
