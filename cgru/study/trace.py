"""The gates of every step, for people to look at."""

from typing import NamedTuple

import numpy as np

from cgru.forward import prepare, run


class Gates(NamedTuple):
    """What `GRU.trace` saw: r, z and n of every step, layer and direction.

    All three are (num_layers * D, T, N, H), (num_layers * D, N, T, H) with `batch_first`, or
    (num_layers * D, T, H) where x was unbatched: the first axis as in h_n, the others in the layout of x. A step
    stands at the time of the input that it reads, in both directions. Zero past a row's length.

    Attributes
    ----------
    r : ndarray
        Reset gate.
    z : ndarray
        Update gate: the share of the old state, or of the new one with ``z_is="new"``.
    n : ndarray
        Candidate state.

    Notes
    -----
    They are views of one array that also holds the candidate's recurrent part, (..., 4H) numbers in all.
    """

    r: np.ndarray
    z: np.ndarray
    n: np.ndarray


def trace(model, x, hx, lengths, z_is):
    """y, h_n and `Gates`; see `GRU.trace`."""
    if z_is not in ("keep", "new"):
        raise ValueError(f"z_is must be 'keep', z the share of the old state, or 'new'; got {z_is!r}")
    config = model.config
    inputs = prepare(model.weights, x, hx, lengths)
    T, N = inputs.x.shape[:2]
    tapes = np.zeros((len(model.directions), T, N, len(config.cell.tape) * config.hidden_size), model.dtype)
    y = np.empty(inputs.layout.shape(T, N, config.output_size), model.dtype)
    run(model, inputs, y, tapes=tapes)
    r, z, n, _ = np.split(tapes, len(config.cell.tape), axis=-1)
    if z_is == "new":
        valid = True if inputs.lengths is None else (np.arange(T)[:, None] < inputs.lengths)[..., None]
        np.subtract(1, z, out=z, where=valid)
    gates = Gates(*(inputs.layout.as_given(gate, axis=1) for gate in (r, z, n)))
    return y, inputs.layout.state(inputs.states), gates


def states(gates, h, *, backward=False):
    """The state after every step, h' = z h + (1 - z) n, which `y` has of the last layer only.

    Parameters
    ----------
    gates : tuple of ndarray
        r, z ("keep"), n of one layer and direction, (T, ...) each.
    h : ndarray
        Its initial state, (...).
    backward : bool
        Whether its steps run from the end to the start.

    Returns
    -------
    ndarray
        (T, ...), each at the time of its step.
    """
    _, z, n = gates
    found = np.empty_like(n)
    order = range(len(n))
    with np.errstate(over="ignore", invalid="ignore"):      # gates of other activations may make it grow
        for t in reversed(order) if backward else order:
            h = n[t] + z[t] * (h - n[t])
            found[t] = h
    return found
