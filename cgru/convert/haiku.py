"""Haiku: w_i (I, 3H), w_h (H, 3H), b (3H,)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgru.checks import real_array
from cgru.convert._build import Parameters, build, gru_from, kernels
from cgru.convert.conventions import CONVENTIONS
from cgru.convert.untrusted.trees import gru_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.weights import Weights


def from_haiku(
    source: Mapping[str, Any],
    name: str | None = None,
    *,
    batch_first: bool = False,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU:
    """A GRU from the parameters of Haiku's `hk.GRU`, which resets before the product.

    Parameters
    ----------
    source : mapping
        What ``transformed.init`` gives: {"gru": {"w_i": (I, 3H), "w_h": (H, 3H), "b": (3H,)}}.
    name : str, optional
        Which module, where there are several.
    batch_first : bool, default False
        As `hk.dynamic_unroll` has it.
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU
        With ``reset_after=False``. Haiku's z takes the new value; the model holds the negated z rows instead, which
        is the same.

    Raises
    ------
    TypeError
        Not a mapping.
    ValueError
        No GRU, or several (they are listed).

    Warns
    -----
    UserWarning
        The parameters hold other arrays, which are left out: they are named. Not where `name` is given.
    """
    return gru_from(weights_from_haiku, source, name, batch_first=batch_first, dtype=dtype, engine=engine)


def weights_from_haiku(source, name=None, *, batch_first=False, dtype=None) -> Weights:
    """`Weights` of a GRU in Haiku's parameters; see `from_haiku`."""
    found = gru_parameters(source, ("w_h", "w_i", "b"), name)
    w_i, w_h, H = kernels(found["w_i"], found["w_h"], ("w_i", "w_h"))
    b = real_array("b", found["b"], (3 * H,))
    haiku = CONVENTIONS["haiku"]
    parameters = Parameters(haiku.canonical(w_i.T), haiku.canonical(w_h.T), haiku.canonical(b))
    return build([[parameters]], dtype=dtype, reset_after=haiku.reset_after, batch_first=batch_first)
