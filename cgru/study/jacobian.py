"""The matrix that one step of a GRU multiplies a gradient by."""

import numpy as np

from cgru.checks import input_array, state_array
from cgru.study.products import product


def gru_jacobian(model, x_t, h):
    """d h_t / d h_{t-1}; see `GRU.jacobian`."""
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
    h = state_array("h", h, dtype, (*leading, H)).reshape(1, -1, H)
    x = x_t.reshape(-1, config.input_size)
    x = x[:, None] if config.batch_first else x[None]
    _, _, tape = model.record(x, h)
    r, z, n, q = np.split(tape.gates[0][0], 4, axis=-1)
    h = h[0]
    U_r, U_z, U_n = np.split(model.weights.tensors["weight_hh_l0"], 3)

    def rows(vector):       # (N, H) as diag(vector) from the left
        return vector[:, :, None]

    def columns(vector):    # from the right
        return vector[:, None, :]

    if config.reset_after:
        inner = rows(r) * U_n + rows(q * r * (1 - r)) * U_r
    else:
        inner = columns(r) * U_n + product(U_n, rows(h * r * (1 - r)) * U_r)
    jacobian = rows((h - n) * z * (1 - z)) * U_z + rows((1 - z) * (1 - n * n)) * inner
    diagonal = np.arange(H)
    jacobian[:, diagonal, diagonal] += z
    return jacobian.reshape(*leading, H, H)
