"""Paddle's `gru` operator. Gates u (= z), r, c; reset before; u takes the new, or with `origin_mode` keeps the old.

* weight   one flat buffer: H x 2H for u, r, then H x H for c, whatever shape (H, 3H) it claims
* the input's (I, 3H) and its bias belong to the fc layer before the operator
"""

import numpy as np

from cgru.activations import activation
from cgru.convert._build import Cell, build, check_negatable, gates, negated_z, real_array

_NAMES = {"identity": "linear", "sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu"}


def weights_from_paddle(
    weight, input_weight, bias=None, input_bias=None, *, origin_mode=False, is_reverse=False,
    gate_activation="sigmoid", candidate_activation="tanh", batch_first=False, dtype=None,
):  # fmt: skip
    """`Weights` of the operator and the fc layer that feeds it; see `from_paddle`."""
    weight = real_array("weight", weight)
    H = round((weight.size / 3) ** 0.5)
    if H == 0 or weight.size != 3 * H * H:
        raise ValueError(f"weight has {weight.size} elements (shape {weight.shape}), expected 3 * H * H")
    flat = np.ascontiguousarray(weight).reshape(-1)
    zr, n = flat[: 2 * H * H].reshape(H, 2 * H), flat[2 * H * H :].reshape(H, H)
    w_hh = gates(np.concatenate([zr, n], axis=1).T, "zrn")
    w_ih = gates(real_array("input_weight", input_weight, (None, 3 * H)).T, "zrn")
    b_ih, b_hh = _bias("input_bias", input_bias, H), _bias("bias", bias, H)
    f, g = (activation(_NAMES.get(name, name)) for name in (gate_activation, candidate_activation))
    cell = Cell(w_ih, w_hh, b_ih, b_hh)
    if not origin_mode:
        check_negatable(f)
        b_ih, b_hh = (None if array is None else negated_z(array) for array in (b_ih, b_hh))
        cell = Cell(negated_z(w_ih), negated_z(w_hh), b_ih, b_hh)
    return build(
        [[cell]], dtype=dtype, reset_after=False, activations=(f, g), reverse=is_reverse, batch_first=batch_first
    )


def _bias(name, value, H):
    if value is None:
        return None
    array = real_array(name, value)
    if array.size != 3 * H:
        raise ValueError(f"{name} has shape {array.shape}, expected (1, {3 * H}) or ({3 * H},)")
    return gates(array.reshape(-1), "zrn")
