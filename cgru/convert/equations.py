"""The equations of 2014 in their own form: W_r, W_z, W_h apart, columns [h, x], z takes the new value."""

import numpy as np

from cgru.weights import Config, Weights, as_real_array, check_dtype


def weights_from_equations(W_r, W_z, W_h, b_r=None, b_z=None, b_h=None, *, batch_first=False, dtype=None):
    """`Weights` with ``reset_after=False`` that compute exactly those equations; see `GRU.from_equations`."""
    matrices = {name: as_real_array(name, W) for name, W in (("W_r", W_r), ("W_z", W_z), ("W_h", W_h))}
    biases = {
        name: as_real_array(name, b) for name, b in (("b_r", b_r), ("b_z", b_z), ("b_h", b_h)) if b is not None
    }
    shape = matrices["W_r"].shape
    if len(shape) != 2 or shape[1] <= shape[0]:
        raise ValueError(f"W_r has shape {shape}, expected (H, H + I) with I of at least 1, columns [h, x]")
    H = shape[0]
    for name, array in (matrices | biases).items():
        expected = shape if name in matrices else (H,)
        if array.shape != expected:
            raise ValueError(f"{name} has shape {array.shape}, expected {expected}, as W_r has shape {shape}")
    if dtype is None:
        single = any(array.dtype != np.float64 for array in (matrices | biases).values())
        dtype = np.float32 if single else np.float64
    dtype = check_dtype(dtype)
    zero = np.zeros(H)
    # z' = 1 - z = s(-a): the canonical z keeps the old h
    weight = np.concatenate([matrices["W_r"], -matrices["W_z"].astype(dtype), matrices["W_h"]]).astype(dtype)
    tensors = {
        "weight_ih_l0": np.ascontiguousarray(weight[:, H:]),
        "weight_hh_l0": np.ascontiguousarray(weight[:, :H]),
    }
    if biases:
        bias = [biases.get("b_r", zero), -biases.get("b_z", zero).astype(dtype), biases.get("b_h", zero)]
        tensors["bias_ih_l0"] = np.concatenate(bias).astype(dtype)
        tensors["bias_hh_l0"] = np.zeros(3 * H, dtype)
    config = Config(
        input_size=shape[1] - H, hidden_size=H, bias=bool(biases), batch_first=batch_first, reset_after=False
    )
    return Weights(config, tensors)
