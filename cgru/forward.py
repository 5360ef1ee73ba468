"""The one pass over layers and directions: checks, lengths, threads.

Everybody who computes goes through `run` or `cgru.layers`: calls, streams fed with chunks, tapes for training, traces.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from cgru import layout
from cgru.checks import BLAS_LIMIT, are_sequences, input_array, lengths_array, output_array, refuse_overlap, state_array
from cgru.layers import run_layers
from cgru.layout import LAYOUTS, Layout
from cgru.staged import run_models, shares
from cgru.threads import over_rows, thread_count


class Inputs(NamedTuple):
    """What a pass reads, checked.

    Attributes
    ----------
    x : ndarray
        (T, N, I); a view of the caller's where that was possible.
    states : tuple of ndarray
        Initial states, a new array (L*D, N, H) for each plane of the cell.
    lengths : ndarray or None
        (N,) intp.
    layout : Layout
        Of the caller's x.
    """

    x: np.ndarray
    states: tuple
    lengths: np.ndarray | None
    layout: Layout


def prepare(weights, x, hx=None, lengths=None, out=None):
    """Check what a caller passes in; nothing is computed or written yet.

    Parameters
    ----------
    weights : Weights
    x, hx, lengths, out
        As in a model's call.
    """
    config, dtype = weights.config, weights.dtype
    x, form = checked_x(x, dtype, config.input_size, config.batch_first)
    T, N = x.shape[:2]
    if out is not None:
        output_array(out, dtype, form.shape(T, N, config.output_size))
        refuse_overlap(out, "x", x)
    states = initial_states(weights, hx, N, form.batched, out=out)
    return Inputs(x, states, None if lengths is None else checked_lengths(lengths, x, form), form)


def checked_x(x, dtype, input_size, batch_first):
    """x as (T, N, I), and the caller's layout."""
    if type(x) is not np.ndarray and are_sequences(x):
        raise TypeError("x is a list of sequences, which only a call and map take; pad them, and give their lengths=")
    x = input_array("x", x, dtype, input_size, "input_size")
    if x.ndim not in (2, 3):
        expected = layout.text(batch_first)
        raise ValueError(f"x has {x.ndim} dimensions (shape {x.shape}), expected {expected} or unbatched (T, I)")
    form = LAYOUTS[batch_first, x.ndim == 3]
    if x.ndim == 2:
        x = x[:, None]
    elif batch_first:       # a call costs what a step would notice
        x = form.time_major(x)
    if x.shape[1] > BLAS_LIMIT:
        raise ValueError(f"x has {x.shape[1]} rows, above the limit of BLAS's integers ({BLAS_LIMIT}); split the batch")
    return x, form


def checked_lengths(lengths, x, form):
    """(N,) intp of the caller's lengths for x (T, N, I)."""
    T, N = x.shape[:2]
    if not form.batched:
        raise ValueError(f"lengths needs a batch, and x is unbatched: (T, I) = ({T}, {x.shape[2]}); drop it")
    return lengths_array(lengths, T, N)


def initial_states(weights, hx, N, batched=True, name="hx", out=None):
    """A new array (L*D, N, H) for each plane of the state: what the caller gave, or else stored ones, or zeros.

    `name` is what the caller calls it; `out`, if any, must not overlap it.
    """
    config, dtype = weights.config, weights.dtype
    count = config.num_layers * config.num_directions
    shape, planes = (count, N, config.hidden_size), []
    for stored, (name_of_plane, given) in zip(config.cell.states, named_planes(config.cell, name, hx), strict=True):
        if given is None:
            plane = np.zeros(shape, dtype)
            if config.initial_state:
                plane[:] = weights.stored[f"{stored}_0"][:, None]
        else:
            given = state_array(name_of_plane, given, dtype, shape if batched else (count, config.hidden_size))
            if out is not None:
                refuse_overlap(out, name, given)
            plane = given.reshape(shape).copy()
        planes.append(plane)
    return tuple(planes)


#: Of an argument's planes, where there are two.
_NAMES = {"hx": "{}_0", "initial_state": "{}_0", "dh_n": "d{}_n", "state": "state {}"}


def named_planes(cell, name, value):
    """[(name, value)] of each plane of a state, or of its gradient, as a caller passes it: an array, or a pair."""
    if len(cell.states) == 1:
        return [(name, value)]
    names = [_NAMES[name].format(plane) for plane in cell.states]
    if value is None:
        value = (None,) * len(names)
    if not isinstance(value, tuple | list) or len(value) != len(names):
        raise TypeError(f"{name} must be a pair ({', '.join(names)}); got {type(value).__name__}")
    return list(zip(names, value, strict=True))


def call(model, x, hx, lengths, out, threads):
    """y and the final state, in the caller's form; see `Recurrent.__call__`."""
    if type(threads) is not int or threads < 1:
        threads = thread_count(threads)
    inputs = prepare(model.weights, x, hx, lengths, out)
    T, N = inputs.x.shape[:2]
    y = np.empty(inputs.layout.shape(T, N, model.config.output_size), model.dtype) if out is None else out
    run(model, inputs, y, threads)
    return y, inputs.layout.state(inputs.states)


def run(model, inputs, y, threads=1, tapes=None, outputs=None):
    """Run on checked inputs into y, in the caller's layout; the inputs' states become the final ones.

    Parameters
    ----------
    model : Recurrent or Linear
    inputs : Inputs
    y : ndarray
    threads : int
    tapes : ndarray, optional
        (L*D, T, N, planes * H) of zeros, for what the engines keep of each step; see `cgru.cells`. One thread.
    outputs : sequence of ndarray, optional
        As in `run_layers`; one thread.
    """
    x, states, lengths, form = inputs
    if not (x.shape[0] and x.shape[1]):
        return
    y = form.time_major(y)
    if threads == 1 or tapes is not None or outputs is not None:
        order = None if lengths is None else np.argsort(-lengths, kind="stable")
        run_layers(model, x, y, states, lengths, order, tapes, outputs)
        return
    groups, inside = shares((model,), x, lengths, threads)
    over_rows(partial(run_models, (model,), threads=inside), groups, x, y, (states,), lengths)
