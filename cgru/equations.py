"""The equations of 2014 in their own form: W_r, W_z, W_h apart, columns [h, x] or W and U, z takes the new value."""

import numpy as np

from cgru.checks import common_dtype, real_array
from cgru.config import Config
from cgru.weights import Weights

_GATES = "rzh"
_COLUMNS = ("hx", "xh")


def weights_from_equations(W, U, b, *, columns="hx", batch_first=False, dtype=None):
    """`Weights` with ``reset_after=False`` that compute exactly those equations; see `GRU.from_equations`.

    Parameters
    ----------
    W, U, b : sequences of three array_like or None
        Of the gates r, z, h. Without U, each W holds the columns of h and x.
    columns : {"hx", "xh"}
    batch_first, dtype
        As in `GRU.from_equations`.
    """
    if columns not in _COLUMNS:
        raise ValueError(f"columns must be 'hx' or 'xh'; got {columns!r}")
    W, U = _apart(W, U, columns)
    H = len(U[0])
    given = [(gate, value) for gate, value in zip(_GATES, b, strict=True) if value is not None]
    biases = {gate: _fitting(f"b_{gate}", value, (H,), "W_r", W[0].shape) for gate, value in given}
    dtype = common_dtype([*W, *U, *biases.values()], dtype)
    tensors = {"weight_ih_l0": _stacked(dtype, *W), "weight_hh_l0": _stacked(dtype, *U)}
    if biases:
        zero = np.zeros(H)
        tensors["bias_ih_l0"] = _stacked(dtype, *(biases.get(gate, zero) for gate in _GATES))
        tensors["bias_hh_l0"] = np.zeros(3 * H)
    config = Config(
        input_size=W[0].shape[1], hidden_size=H, bias=bool(biases), batch_first=batch_first, reset_after=False
    )
    return Weights(config, tensors, dtype)


def _apart(W, U, columns):
    """W (H, I) and U (H, H) of each gate, from either form."""
    missing = [f"U_{gate}" for gate, value in zip(_GATES, U, strict=True) if value is None]
    if 0 < len(missing) < 3:
        raise TypeError(f"U_r, U_z and U_h belong together; {' and '.join(missing)} not given")
    first = real_array("W_r", W[0])
    shape, H = first.shape, len(first) if first.ndim else 0
    if missing:
        if len(shape) != 2 or shape[1] <= H:
            order = ", ".join(columns)
            raise ValueError(
                f"W_r has shape {shape}, expected (H, H + I) with I of at least 1, columns [{order}]; where the "
                "matrices of h stand apart, give them as U_r, U_z, U_h"
            )
        whole = _all_fitting("W", W, shape, "W_r", shape)
        of_h, of_x = (np.s_[:, :H], np.s_[:, H:]) if columns == "hx" else (np.s_[:, -H:], np.s_[:, :-H])
        return [matrix[of_x] for matrix in whole], [matrix[of_h] for matrix in whole]
    if columns != "hx":
        raise ValueError(f"columns={columns!r} is for W that hold the columns of h and x; with U they stand apart")
    recurrent = real_array("U_r", U[0])
    if recurrent.ndim != 2 or recurrent.shape[0] != recurrent.shape[1]:
        raise ValueError(f"U_r has shape {recurrent.shape}, expected (H, H)")
    H = len(recurrent)
    if len(shape) != 2 or shape[0] != H or shape[1] == 0:
        raise ValueError(f"W_r has shape {shape}, expected ({H}, I), as U_r has shape {recurrent.shape}")
    return _all_fitting("W", W, shape, "W_r", shape), _all_fitting("U", U, (H, H), "U_r", (H, H))


def _all_fitting(letter, values, expected, first, shape):
    return [_fitting(f"{letter}_{gate}", value, expected, first, shape)
            for gate, value in zip(_GATES, values, strict=True)]  # fmt: skip


def _fitting(name, value, expected, first, shape):
    array = real_array(name, value)
    if array.shape != expected:
        raise ValueError(f"{name} has shape {array.shape}, expected {expected}, as {first} has shape {shape}")
    return array


def _stacked(dtype, r, z, n):
    """Rows r, z, n, where z keeps the old h: 1 - s(a) = s(-a)."""
    return np.concatenate([r, -z.astype(dtype), n])
