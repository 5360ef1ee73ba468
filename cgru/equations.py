"""The equations of 2014 in their own form: W_r, W_z, W_h apart, columns [h, x], z takes the new value."""

import numpy as np

from cgru.checks import common_dtype, real_array
from cgru.config import Config
from cgru.weights import Weights


def weights_from_equations(W_r, W_z, W_h, b_r=None, b_z=None, b_h=None, *, batch_first=False, dtype=None):
    """`Weights` with ``reset_after=False`` that compute exactly those equations; see `GRU.from_equations`."""
    W_r = real_array("W_r", W_r)
    shape, H = W_r.shape, len(W_r) if W_r.ndim else 0
    if len(shape) != 2 or shape[1] <= H:
        raise ValueError(f"W_r has shape {shape}, expected (H, H + I) with I of at least 1, columns [h, x]")
    matrices = [W_r, *(_fitting(name, W, shape, shape) for name, W in (("W_z", W_z), ("W_h", W_h)))]
    given = [(name, b) for name, b in (("b_r", b_r), ("b_z", b_z), ("b_h", b_h)) if b is not None]
    biases = {name: _fitting(name, b, (H,), shape) for name, b in given}
    dtype = common_dtype([*matrices, *biases.values()], dtype)
    weight = _stacked(dtype, *matrices)
    tensors = {"weight_ih_l0": weight[:, H:], "weight_hh_l0": weight[:, :H]}
    if biases:
        zero = np.zeros(H)
        tensors["bias_ih_l0"] = _stacked(dtype, *(biases.get(name, zero) for name in ("b_r", "b_z", "b_h")))
        tensors["bias_hh_l0"] = np.zeros(3 * H)
    config = Config(
        input_size=shape[1] - H, hidden_size=H, bias=bool(biases), batch_first=batch_first, reset_after=False
    )
    return Weights(config, tensors, dtype)


def _fitting(name, value, expected, shape):
    array = real_array(name, value)
    if array.shape != expected:
        raise ValueError(f"{name} has shape {array.shape}, expected {expected}, as W_r has shape {shape}")
    return array


def _stacked(dtype, r, z, n):
    """Rows r, z, n, where z keeps the old h: 1 - s(a) = s(-a)."""
    return np.concatenate([r, -z.astype(dtype), n])
