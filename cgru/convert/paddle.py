"""Paddle's `gru` operator.

* weight   one flat buffer: H x 2H for u, r, then H x H for c, whatever shape (H, 3H) it claims
* the input's (I, 3H) and its bias belong to the fc layer before the operator
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cgru.activations import activation
from cgru.cells import CELLS
from cgru.checks import real_array
from cgru.convert._build import build, canonical, gru_from
from cgru.convert.conventions import CONVENTIONS, check_negatable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from cgru.gru import GRU
    from cgru.weights import Weights

_NAMES = {"identity": "linear"}


def from_paddle(
    weight: ArrayLike,
    input_weight: ArrayLike,
    bias: ArrayLike | None = None,
    input_bias: ArrayLike | None = None,
    *,
    origin_mode: bool = False,
    is_reverse: bool = False,
    gate_activation: str = "sigmoid",
    candidate_activation: str = "tanh",
    batch_first: bool = False,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU:
    """A GRU from Paddle's `gru` operator (`dynamic_gru`) and the fc layer before it.

    Parameters
    ----------
    weight : array_like
        3 * H * H numbers, of any shape: in their order H x 2H for u and r, then H x H for the candidate.
    input_weight : array_like
        (I, 3H): the weight of the fc layer that makes the operator's input; gates u, r, c.
    bias, input_bias : array_like, optional
        (1, 3H) or (3H,): the operator's and the fc layer's.
    origin_mode : bool, default False
        Whether u keeps the old value (Cho et al. 2014), or takes the new.
    is_reverse : bool, default False
    gate_activation, candidate_activation : str
        sigmoid, tanh, relu or identity.
    batch_first : bool, default False
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU
        With ``reset_after=False``.

    Raises
    ------
    TypeError
        Arrays that are not real numbers.
    ValueError
        Shapes that do not fit, or a gate activation for which "u takes the new" cannot be turned round.
    """
    return gru_from(
        weights_from_paddle, weight, input_weight, bias, input_bias, origin_mode=origin_mode, is_reverse=is_reverse,
        gate_activation=gate_activation, candidate_activation=candidate_activation, batch_first=batch_first,
        dtype=dtype, engine=engine,
    )  # fmt: skip


def weights_from_paddle(
    weight, input_weight, bias=None, input_bias=None, *, origin_mode=False, is_reverse=False,
    gate_activation="sigmoid", candidate_activation="tanh", batch_first=False, dtype=None,
) -> Weights:  # fmt: skip
    """`Weights` of the operator and the fc layer that feeds it; see `from_paddle`."""
    buffer = real_array("weight", weight)
    H = round((buffer.size / 3) ** 0.5)
    if H == 0 or buffer.size != 3 * H * H:
        raise ValueError(f"weight has {buffer.size} elements (shape {buffer.shape}), expected 3 * H * H")
    flat = np.ascontiguousarray(buffer).reshape(-1)
    zr, n = flat[: 2 * H * H].reshape(H, 2 * H), flat[2 * H * H :].reshape(H, H)
    f, g = (activation(_NAMES.get(name, name)) for name in (gate_activation, candidate_activation))
    system = "paddle_origin" if origin_mode else "paddle"
    if not CONVENTIONS[system].z_keeps:
        check_negatable(f)
    parameters = canonical(
        system,
        CELLS["gru"],
        real_array("input_weight", input_weight, (None, 3 * H)).T,
        np.concatenate([zr, n], axis=1).T,
        None if input_bias is None else _bias("input_bias", input_bias, H),
        None if bias is None else _bias("bias", bias, H),
    )
    return build(
        [[parameters]], dtype=dtype, reset_after=CONVENTIONS[system].reset_after, activations=(f, g),
        reverse=is_reverse, batch_first=batch_first,
    )  # fmt: skip


def _bias(name, value, H):
    array = real_array(name, value)
    if array.size != 3 * H:
        raise ValueError(f"{name} has shape {array.shape}, expected (1, {3 * H}) or ({3 * H},)")
    return array.reshape(-1)
