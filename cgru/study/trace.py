"""What happens at every step, for people to look at."""

from typing import NamedTuple

import numpy as np

from cgru.forward import prepare, run


class GRUGates(NamedTuple):
    """What `GRU.trace` saw: r, z and n of every step, layer and direction.

    All are (num_layers * D, T, N, H), (num_layers * D, N, T, H) with `batch_first`, or
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
    They are views of one array that also holds the candidate's recurrent part, (..., 4H) numbers in all; 7H with other
    activations than sigmoid and tanh, or a `clip`.
    """

    r: np.ndarray
    z: np.ndarray
    n: np.ndarray


class LSTMGates(NamedTuple):
    """What `LSTM.trace` saw, of every step, layer and direction; shapes and order as in `GRUGates`.

    Attributes
    ----------
    i, f, o : ndarray
        Input, forget and output gate.
    g : ndarray
        Candidate.
    c : ndarray
        The new cell state, f * c + i * g.

    Notes
    -----
    They are views of one array.
    """

    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    c: np.ndarray


class RNNGates(NamedTuple):
    """What `RNN.trace` saw, of every step, layer and direction; shapes and order as in `GRUGates`.

    Attributes
    ----------
    h : ndarray
        The new state. A plain RNN has no gates; y has the states of the last layer only.
    """

    h: np.ndarray


#: By the letters that a cell shows.
_CLASSES = {"rzn": GRUGates, "ifgoc": LSTMGates, "h": RNNGates}


def trace(model, x, hx, lengths, z_is="keep"):
    """y, the final state and the gates; see `Views.trace` and `GRU.trace`."""
    if z_is not in ("keep", "new"):
        raise ValueError(f"z_is must be 'keep', z the share of the old state, or 'new'; got {z_is!r}")
    config = model.config
    inputs = prepare(model.weights, x, hx, lengths)
    T, N = inputs.x.shape[:2]
    y = np.empty(inputs.layout.shape(T, N, config.output_size), model.dtype)
    found = planes(model, inputs, y, config.cell.traced)
    if z_is == "new":
        valid = True if inputs.lengths is None else (np.arange(T)[:, None] < inputs.lengths)[..., None]
        np.subtract(1, found["z"], out=found["z"], where=valid)
    gates = _CLASSES[config.cell.traced](*(inputs.layout.as_given(plane, axis=1) for plane in found.values()))
    return y, inputs.layout.state(inputs.states), gates


def planes(model, inputs, y, letters):
    """Run on checked inputs into y, and keep planes (L*D, T, N, H) of every step at the time of its input.

    Parameters
    ----------
    model : Recurrent
    inputs : Inputs
        Their states become the final ones.
    y : ndarray
        In the caller's layout.
    letters : str
        Those of `Config.tape`, and h.

    Returns
    -------
    dict of str to ndarray
        By letter, in the order of `letters`; zero past a row's length.
    """
    config, kept = model.config, model.config.tape
    T, N = inputs.x.shape[:2]
    shape = (len(model.directions), T, N, config.hidden_size)
    found = {}
    width = config.num_directions * config.hidden_size
    outputs = [np.zeros((T, N, width), model.dtype) for _ in range(config.num_layers)] if "h" in letters else None
    if set(letters) & set(kept):
        tapes = np.zeros((*shape[:3], len(kept) * shape[3]), model.dtype)
        found = dict(zip(kept, np.split(tapes, len(kept), axis=-1), strict=True))
    run(model, inputs, y, tapes=tapes if found else None, outputs=outputs)
    if outputs is not None:
        if config.merge_mode == "concat":
            outputs[-1] = inputs.layout.time_major(y)
        found["h"] = np.zeros(shape, model.dtype)
        for layer, output in enumerate(outputs):
            in_time = output[::-1] if config.go_backwards else output      # with it a layer turns its input around
            found["h"][layer * config.num_directions :][: config.num_directions] = np.stack(
                np.split(in_time, config.num_directions, axis=-1)
            )
    return {letter: found[letter] for letter in letters}
