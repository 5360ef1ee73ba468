"""The gates of every step."""

from typing import NamedTuple

import numpy as np


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


def trace(model, x, h_0, lengths, z_is):
    """y, h_n and `Gates`; see `GRU.trace`."""
    if z_is not in ("keep", "new"):
        raise ValueError(f"z_is must be 'keep', z the share of the old state, or 'new'; got {z_is!r}")
    config = model._weights.config
    inputs = model._prepare(x, {"h_0": h_0}, lengths)
    T, N = inputs.x.shape[:2]
    tapes = np.zeros((config.num_layers * config.directions, T, N, 4 * config.hidden_size), model.dtype)
    y = np.empty((*inputs.x_shape[:-1], config.output_size), model.dtype)
    y, (h_n,) = model._compute(inputs, y, tapes=tapes)
    r, z, n, _ = np.split(tapes, 4, axis=-1)
    if z_is == "new":
        valid = True if inputs.lengths is None else (np.arange(T)[:, None] < inputs.lengths)[..., None]
        np.subtract(1, z, out=z, where=valid)
    if not inputs.batched:
        r, z, n = (gate[:, :, 0] for gate in (r, z, n))
    elif config.batch_first:
        r, z, n = (gate.swapaxes(1, 2) for gate in (r, z, n))
    return y, h_n, Gates(r, z, n)


def states(gates, h_0, *, backward=False):
    """The state after every step, h' = z h + (1 - z) n, which `y` has of the last layer only.

    Parameters
    ----------
    gates : tuple of ndarray
        r, z ("keep"), n of one layer and direction, (T, ...) each.
    h_0 : ndarray
        Its initial state, (...).
    backward : bool
        Whether its steps run from the end to the start.

    Returns
    -------
    ndarray
        (T, ...), each at the time of its step.
    """
    _, z, n = gates
    h = np.empty_like(n)
    order = range(len(n))
    with np.errstate(over="ignore", invalid="ignore"):      # gates of other activations may make it grow
        for t in reversed(order) if backward else order:
            h_0 = n[t] + z[t] * (h_0 - n[t])
            h[t] = h_0
    return h
