"""A command's x, initial state and lengths: the options, and what is in the files."""

import argparse
import math
import sys

import numpy as np

from cgru.checks import lengths_array
from cgru.commands._arrays import is_raw, open_source, read_whole
from cgru.commands._layers import as_state, recurrent_of, states_of
from cgru.convert.untrusted.files import array_names, file_size


def add_input_options(parser):
    """Declare the input and how to read it."""
    parser.add_argument(
        "input", metavar="INPUT",
        help="x (T, I), (T, N, I), or (N, T, I) with a batch-first model: .npy, .npz, or .csv with a step per line",
    )  # fmt: skip
    parser.add_argument("--key", metavar="NAME", help="which array of an .npz INPUT that holds several")
    add_state_options(parser, ".npy or .npz")
    add_layout_option(parser, "a three-dimensional INPUT")


def add_layout_option(parser, what):
    """Declare the order of dimensions, which `read_model` gives to the model."""
    parser.add_argument(
        "--batch-first", default=None, action=argparse.BooleanOptionalAction,
        help=f"read {what} as (N, T, I), or as (T, N, I); default as the model says",
    )  # fmt: skip


def add_state_options(parser, files):
    """Declare the initial state."""
    parser.add_argument(
        "--h0", metavar="FILE",
        help=f"initial state (layers * directions, N, H): {files}; of several recurrent layers an .npz with an array "
        "of each, 0.h_0, 2.c_0, or 0.h_n, 2.c_n as run writes them",
    )  # fmt: skip
    parser.add_argument("--c0", metavar="FILE", help="initial cell state, where one LSTM is the only recurrent layer")


def open_input(args, model):
    """The `Source` of the input that `add_input_options` declared; its shape is one that the model takes.

    Raises
    ------
    OSError, ValueError
    """
    source = open_source(args.input, args.key, "--key")
    try:
        as_features(source, model)
        shape, features = source.shape, model.input_size
        if len(shape) not in (2, 3) or shape[-1] != features:
            layout = "(N, T, I)" if model.batch_first else "(T, N, I)"
            raise ValueError(
                f"{source.path} has shape {shape}, this model expects (T, I) or {layout} with I={features}"
            )
    except BaseException:
        source.close()
        raise
    return source


def as_features(source, model):
    """Read a flat array as one feature, x[:, None], where the model has one, and say so."""
    if len(source.shape) == 1 and model.input_size == 1:
        source.shape = (*source.shape, 1)
        say_column(source.path, source.shape)


def say_column(path, shape):
    """Say that a flat array was read as one feature."""
    print(f"cgru: note: {path} is flat, and is read as {shape}: one feature", file=sys.stderr)


def on_planes(function, hx, *others):
    """`function` of each plane of a state, or of several states: an array, or a tuple of them; None stays None."""
    if not isinstance(hx, tuple):
        return None if hx is None else function(hx, *others)
    return tuple(on_planes(function, *planes) for planes in zip(hx, *others, strict=True))


def initial_state(args, model, shape):
    """What --h0 (and --c0) hold, for an input of this shape, or None."""
    batch = () if len(shape) == 2 else (shape[0 if model.batch_first else 1],)
    return given_state(args, model, batch)


def given_state(args, model, batch, checked=True):
    """The state in --h0 and --c0, in the form of the model's hx; None where there is none.

    Parameters
    ----------
    batch : tuple
        Its axis of rows.
    checked : bool
        Whether files that have a shape must have the right one; False leaves it to the model.

    Raises
    ------
    OSError, ValueError
        A file that does not hold it.
    """
    states = states_of(model)
    if args.c0 is not None and not any(plane.plane == "c" for planes in states for plane in planes):
        names = " and ".join(dict.fromkeys(config.cell.name for _, config in recurrent_of(model)))
        whose = f"the state of a {names} is h alone" if names else "this network keeps no state"
        raise ValueError(f"--c0 is for an LSTM; {whose}")
    if args.h0 is None and args.c0 is None:
        return None
    if len(states) == 1:
        files = [getattr(args, f"{one.plane}0") for one in states[0]]
        planes = [_plane(path, one, batch, model, checked) for path, one in zip(files, states[0], strict=True)]
        return as_state(model, [planes])
    if not states:
        raise ValueError(f"--h0 {args.h0}: this network keeps no state")
    if args.c0 is not None:
        raise ValueError(f"--c0 is for one recurrent layer, and here are {len(states)}: put all into one --h0 .npz")
    return as_state(model, _archived(args.h0, states, batch, model, checked))


def _plane(path, state, batch, model, checked, key=None, option=None):
    if path is None:
        return None
    expected = (state.rows, *batch, state.units)
    where = f"{option or f'--{state.plane}0'} {path}{f': {key}' if key else ''}"
    if is_raw(path):
        return read_whole(path, expected)
    with open_source(path, key) as stored:
        if checked and stored.shape != expected:      # known before memory is spent
            raise ValueError(f"{where} has shape {stored.shape}, expected {expected}")
        return stored.whole().astype(model.dtype)


def _archived(path, states, batch, model, checked):
    """The planes of several layers in one .npz."""
    wanted = [f"{plane.name}_0" for planes in states for plane in planes]
    if not path.lower().endswith(".npz"):
        raise ValueError(f"--h0 {path}: with {len(states)} recurrent layers it is an .npz file of {', '.join(wanted)}")
    held = array_names(path)
    names = {name.removesuffix("_n") + "_0" if name.endswith("_n") else name: name for name in held}
    if not set(names) & set(wanted):
        raise ValueError(f"--h0 {path} holds {', '.join(held) or 'nothing'}, expected some of {', '.join(wanted)}")

    def plane_of(state):
        key = names.get(f"{state.name}_0")
        return None if key is None else _plane(path, state, batch, model, checked, key, "--h0")

    return [[plane_of(plane) for plane in planes] for planes in states]


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
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"--lengths {path}: {error}") from error
