"""GRU, LSTM and RNN in NumPy: the right answer in float64, a contestant in float32."""

from functools import partial

import numpy as np

ARRAYS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def numpy_cell(kind, arrays, dtype=np.float32):
    """One layer as NumPy users write it when they care: one product for all inputs, then ufuncs in place.

    Parameters
    ----------
    kind : str
        "gru", "lstm" or "rnn".
    arrays : sequence of ndarray
        W (GH, I), U (GH, H), b (GH,), c (GH,), in PyTorch's gate order.
    dtype : dtype

    Returns
    -------
    callable
        Of x (T, N, I), h (N, H) and, for an LSTM, c (N, H), all of `dtype`; gives y (T, N, H) and the last state,
        a pair (h, c) for an LSTM and (h,) otherwise.
    """
    w_ih, w_hh, b_ih, b_hh = (np.asarray(array, dtype) for array in arrays)
    w_ih, w_hh = np.ascontiguousarray(w_ih.T), np.ascontiguousarray(w_hh.T)
    step = partial(_STEPS[kind], len(w_hh), np.dtype(dtype).type(1))

    def cell(x, *state):
        steps, rows, inputs = x.shape
        projected = x.reshape(steps * rows, inputs) @ w_ih
        projected += b_ih
        y = np.empty((steps, rows, len(w_hh)), dtype)
        for gi, out in zip(projected.reshape(steps, rows, -1), y, strict=True):
            gh = state[0] @ w_hh
            gh += b_hh
            state = step(gi, gh, state, out)
        return y, state

    return cell


def numpy_model(kind, state, dtype=np.float32):
    """A stack of layers from PyTorch's parameter names, one or two directions.

    Returns
    -------
    callable
        Of x (T, N, I) and a tuple of planes of state (L * D, N, H); gives y (T, N, D * H) and the last planes.
    """
    names = [name.removeprefix("weight_ih") for name in state if name.startswith("weight_ih")]
    cells = {name: numpy_cell(kind, [state[array + name] for array in ARRAYS], dtype) for name in names}

    def model(x, planes):
        last, found = [], []
        for i, (name, cell) in enumerate(cells.items()):
            backwards = name.endswith("_reverse")
            y, end = cell(x[::-1] if backwards else x, *(plane[i] for plane in planes))
            found.append(y[::-1] if backwards else y)
            last.append(end)
            if backwards or f"{name}_reverse" not in cells:  # the layer is complete
                x, found = np.concatenate(found, axis=-1) if backwards else y, []
        return x, tuple(np.stack(plane) for plane in zip(*last, strict=True))

    return model


def _sigmoid(one, a):
    """In place."""
    np.negative(a, out=a)
    np.exp(a, out=a)
    a += one
    np.reciprocal(a, out=a)


def _gru(hidden, one, gi, gh, state, out):
    (h,) = state
    gates = gi[:, : 2 * hidden] + gh[:, : 2 * hidden]
    _sigmoid(one, gates)
    n = gh[:, 2 * hidden :]
    n *= gates[:, :hidden]
    n += gi[:, 2 * hidden :]
    np.tanh(n, out=n)
    np.subtract(h, n, out=out)
    out *= gates[:, hidden:]
    out += n
    return (out,)


def _lstm(hidden, one, gi, gh, state, out):
    _, c = state
    gh += gi
    i_f, g, o = gh[:, : 2 * hidden], gh[:, 2 * hidden : 3 * hidden], gh[:, 3 * hidden :]
    _sigmoid(one, i_f)
    _sigmoid(one, o)
    np.tanh(g, out=g)
    g *= i_f[:, :hidden]
    c = c * i_f[:, hidden:]
    c += g
    np.tanh(c, out=out)
    out *= o
    return out, c


def _rnn(_hidden, _one, gi, gh, _state, out):
    gh += gi
    np.tanh(gh, out=out)
    return (out,)


_STEPS = {"gru": _gru, "lstm": _lstm, "rnn": _rnn}
