"""The matrix that one step multiplies a gradient by."""

import numpy as np

from cgru.cells import GRU, LSTM, RNN
from cgru.checks import input_array, state_array
from cgru.forward import named_planes
from cgru.study.products import product


def jacobian(model, x_t, hx):
    """d state_t / d state_{t-1}; see `Views.jacobian`."""
    config, dtype = model.config, model.dtype
    if config.num_layers > 1 or config.num_directions > 1:
        raise ValueError(
            f"the Jacobian of a step is that of one layer in one direction; this model has num_layers="
            f"{config.num_layers}, bidirectional={config.bidirectional}"
        )
    x_t = input_array("x_t", x_t, dtype, config.input_size, "input_size")
    if x_t.ndim not in (1, 2):
        raise ValueError(f"x_t has shape {x_t.shape}, expected one step: (N, I) or (I,)")
    H, leading = config.hidden_size, x_t.shape[:-1]
    states = tuple(
        state_array(name, plane, dtype, (*leading, H)).reshape(1, -1, H)
        for name, plane in named_planes(config.cell, "hx", hx)
    )
    x = x_t.reshape(-1, config.input_size)
    if not config.is_plain:
        return _by_backward(model, x, states).reshape(*leading, *[len(states) * H] * 2)
    _, _, tape = model.record(x[:, None] if config.batch_first else x[None], _joined(states))
    U = np.split(model.weights.tensors["weight_hh_l0"], config.cell.stacked)
    gates = np.split(tape.gates[0][0], len(config.cell.tape), axis=-1) if tape.gates else ()
    found = _JACOBIANS[config.cell](config, U, gates, [plane[0] for plane in states], tape.xs[1].reshape(-1, H))
    return found.reshape(*leading, *found.shape[1:])


def _joined(planes):
    """A state as a model takes it: the array, or the pair."""
    return planes[0] if len(planes) == 1 else tuple(planes)


def _by_backward(model, x, states):
    """(N, S, S) for any activations and a clip: each of the S numbers of the new state goes back on its own."""
    N, size = len(x), len(states) * model.hidden_size
    x, states = np.repeat(x, size, axis=0), tuple(np.repeat(plane, size, axis=1) for plane in states)
    _, _, tape = model.record(x[:, None] if model.batch_first else x[None], _joined(states))
    units = np.tile(np.eye(size, dtype=x.dtype), (1, N, 1))
    grads = model.backward(tape, dh_n=_joined(np.split(units, len(states), axis=-1)))
    found = [plane for plane in (grads.h_0, grads.c_0) if plane is not None]
    return np.concatenate(found, axis=-1).reshape(N, size, size)


def _rows(vector):
    """(N, H) as diag(vector) from the left."""
    return vector[:, :, None]


def _columns(vector):
    """(N, H) as diag(vector) from the right."""
    return vector[:, None, :]


def _gru(config, U, gates, states, _):
    (r, z, n, q), (U_r, U_z, U_n), (h,) = gates, U, states
    if config.reset_after:
        inner = _rows(r) * U_n + _rows(q * r * (1 - r)) * U_r
    else:
        inner = _columns(r) * U_n + product(U_n, _rows(h * r * (1 - r)) * U_r)
    found = _rows((h - n) * z * (1 - z)) * U_z + _rows((1 - z) * (1 - n * n)) * inner
    diagonal = np.arange(config.hidden_size)
    found[:, diagonal, diagonal] += z
    return found


def _lstm(config, U, gates, states, _):
    (i, f, g, o, c_new), (U_i, U_f, U_g, U_o), (_, c) = gates, U, states
    H, tanh_c = config.hidden_size, np.tanh(c_new)
    of_c = _rows(g * i * (1 - i)) * U_i + _rows(c * f * (1 - f)) * U_f + _rows(i * (1 - g * g)) * U_g
    through_c = o * (1 - tanh_c * tanh_c)
    found, diagonal = np.zeros((len(c), 2 * H, 2 * H), c.dtype), np.arange(H)
    found[:, :H, :H] = _rows(tanh_c * o * (1 - o)) * U_o + _rows(through_c) * of_c
    found[:, diagonal, H + diagonal] = through_c * f
    found[:, H:, :H] = of_c
    found[:, H + diagonal, H + diagonal] = f
    return found


def _rnn(config, U, _gates, _states, h_new):
    slope = h_new > 0 if config.nonlinearity == "relu" else 1 - h_new * h_new
    return _rows(slope) * U[0]


_JACOBIANS = {GRU: _gru, LSTM: _lstm, RNN: _rnn}
