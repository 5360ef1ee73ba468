"""A command's x, initial state and lengths: the options, and what is in the files."""

import argparse
import math

import numpy as np

from cgru.checks import lengths_array
from cgru.commands._arrays import open_source
from cgru.convert.untrusted.files import file_size


def add_input_options(parser):
    """Declare the input and how to read it."""
    parser.add_argument(
        "input", metavar="INPUT",
        help="x (T, I), (T, N, I), or (N, T, I) with a batch-first model: .npy, .npz, or .csv with a step per line",
    )  # fmt: skip
    parser.add_argument("--key", metavar="NAME", help="which array of an .npz INPUT that holds several")
    parser.add_argument("--h0", metavar="FILE", help="initial state (layers * directions, N, H): .npy or .npz")
    parser.add_argument("--c0", metavar="FILE", help="initial cell state of an LSTM, in such a file")
    parser.add_argument(
        "--batch-first", default=None, action=argparse.BooleanOptionalAction,
        help="read a three-dimensional INPUT as (N, T, I), or as (T, N, I); default as the model says",
    )  # fmt: skip


def open_input(args):
    """The `Source` of the input that `add_input_options` declared."""
    return open_source(args.input, args.key, "--key")


def given_states(args, cell):
    """[(option, file or None)] of each plane of the state: --h0, and an LSTM's --c0."""
    if args.c0 is not None and "c" not in cell.states:
        raise ValueError(f"--c0 is for an LSTM; the state of a {cell.name} is h alone")
    return [(f"--{plane}0", getattr(args, f"{plane}0")) for plane in cell.states]


def on_planes(function, hx, *others):
    """`function` of each plane of a state, or of several states: an array, or a pair; None stays None."""
    if not isinstance(hx, tuple):
        return None if hx is None else function(hx, *others)
    return tuple(on_planes(function, *planes) for planes in zip(hx, *others, strict=True))


def initial_state(args, model, source):
    """What --h0 (and --c0) hold, of the right shape, or None; the input's shape is checked on the way."""
    config, shape = model.config, source.shape
    if len(shape) not in (2, 3) or shape[-1] != config.input_size:
        layout = "(N, T, I)" if config.batch_first else "(T, N, I)"
        raise ValueError(
            f"{source.path} has shape {shape}, this model expects (T, I) or {layout} with I={config.input_size}"
        )
    batch = () if len(shape) == 2 else (shape[0 if config.batch_first else 1],)
    expected = (config.num_layers * config.num_directions, *batch, config.hidden_size)
    planes = [_plane(option, path, expected, model.dtype) for option, path in given_states(args, config.cell)]
    return planes[0] if len(planes) == 1 else tuple(planes)


def _plane(option, path, expected, dtype):
    if path is None:
        return None
    with open_source(path) as stored:
        if stored.shape != expected:        # known before memory is spent
            raise ValueError(f"{option} {path} has shape {stored.shape}, expected {expected}")
        return stored.whole().astype(dtype)


def read_lengths(path, model, shape):
    """What --lengths holds, one integer for each row of an input of `shape`."""
    if len(shape) != 3:
        raise ValueError(f"--lengths is for an input of several rows; this one has shape {shape}")
    steps, rows = shape[:2] if not model.batch_first else shape[1::-1]
    found: np.ndarray
    try:
        if path.lower().endswith(".txt"):
            file_size(path)
            with open(path, encoding="utf-8") as file:
                found = np.array([int(word) for word in file.read().split()], dtype=np.intp)
        else:
            with open_source(path) as source:
                if math.prod(source.shape) != rows:
                    raise ValueError(f"it has shape {source.shape}, expected {rows} integers, one for each row")
                found = source.whole().reshape(-1)
            if path.lower().endswith(".csv") and (found == np.floor(found)).all():
                found = found.astype(np.intp)
        return lengths_array(found, steps, rows)
    except (ValueError, TypeError) as error:
        raise ValueError(f"--lengths {path}: {error}") from error
