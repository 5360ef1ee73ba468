"""Flax: linen's and nnx's GRUCell; kernels (in, out).

* linen   ir iz in hr hz hn apart, each with a kernel; bias in ir, iz, in and hn
* nnx     dense_i: kernel (I, 3H), bias (3H,)      dense_h: kernel (H, 3H), and maybe bias
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.checks import real_array
from cgru.convert._build import Parameters, build, gru_from, kernels
from cgru.convert.conventions import CONVENTIONS
from cgru.convert.untrusted.trees import flattened, gru_parameters

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.weights import Weights

_LINEN = ("ir", "iz", "in", "hr", "hz", "hn")


def from_flax(
    source: Any,
    name: str | None = None,
    *,
    activations: Any = None,
    batch_first: bool = True,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU:
    """A GRU from Flax's GRUCell, linen or nnx.

    Parameters
    ----------
    source : mapping or nnx module
        Linen's variables or parameters: {"params": {"GRUCell_0": {"ir": {"kernel": ...}, ...}}}, at any depth; an
        nnx.GRUCell, an nnx.RNN around one, or its state as nested mappings (``nnx.to_pure_dict``).
    name : str, optional
        Which cell, where there are several: its path, joined by "/".
    activations : (f, g), optional
        The cell's `gate_fn` and `activation_fn`, which parameters do not hold; see `cgru.activations`.
    batch_first : bool, default True
        As Flax's RNN has it.
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU
        Its h_n[0] is Flax's carry.

    Raises
    ------
    TypeError
        Something else was given.
    ValueError
        No GRU cell, or several (they are listed).

    Warns
    -----
    UserWarning
        The parameters hold other arrays, which are left out: they are named. Not where `name` is given.
    """
    return gru_from(
        weights_from_flax, source, name, activations=activations, batch_first=batch_first, dtype=dtype, engine=engine
    )  # fmt: skip


def weights_from_flax(source, name=None, *, activations=None, batch_first=True, dtype=None) -> Weights:
    """`Weights` of a parameter tree or an nnx module; see `from_flax`."""
    flat = flattened(_tree(source))
    if any("dense_i" in path for path in flat):
        weights, biases = (tuple(f"{part}/{kind}" for part in ("dense_i", "dense_h")) for kind in ("kernel", "bias"))
        parameters = _nnx(gru_parameters(flat, weights, name, biases))
    else:
        weights, biases = (tuple(f"{gate}/{kind}" for gate in _LINEN) for kind in ("kernel", "bias"))
        parameters = _linen(gru_parameters(flat, weights, name, biases))
    return build(
        [[parameters]], dtype=dtype, reset_after=CONVENTIONS["flax"].reset_after, activations=activations,
        batch_first=batch_first,
    )  # fmt: skip


def _linen(found):
    features, H = real_array("in/kernel", found["in/kernel"], (None, None)).shape
    shapes = dict.fromkeys(_LINEN[:3], (features, H)) | dict.fromkeys(_LINEN[3:], (H, H))
    weights = {
        gate: real_array(f"{gate}/kernel", found[f"{gate}/kernel"], shape).T for gate, shape in shapes.items()
    }
    biases = {
        gate: real_array(f"{gate}/bias", found[f"{gate}/bias"], (H,)) if f"{gate}/bias" in found else np.zeros(H, "f")
        for gate in _LINEN
    }
    has_bias = any(f"{gate}/bias" in found for gate in _LINEN)
    return Parameters(
        np.concatenate([weights[gate] for gate in _LINEN[:3]]),
        np.concatenate([weights[gate] for gate in _LINEN[3:]]),
        np.concatenate([biases[gate] for gate in _LINEN[:3]]) if has_bias else None,
        np.concatenate([biases[gate] for gate in _LINEN[3:]]) if has_bias else None,
    )


def _nnx(found):
    names = ("dense_i/kernel", "dense_h/kernel")
    kernel, recurrent, H = kernels(found[names[0]], found[names[1]], names)
    canonical = CONVENTIONS["flax"].canonical
    biases = [
        canonical(real_array(name, found[name], (3 * H,))) if found.get(name) is not None else None
        for name in ("dense_i/bias", "dense_h/bias")
    ]
    return Parameters(canonical(kernel.T), canonical(recurrent.T), *biases)


def _tree(source):
    """A parameter tree as plain mappings down to arrays; of an nnx cell, RNN or module, its own."""
    if isinstance(source, Mapping):
        return {name: _tree(value) for name, value in source.items()}
    if hasattr(source, "kernel"):      # a Linear
        parts = {name: getattr(source, name, None) for name in ("kernel", "bias")}
        return {name: _tree(part) for name, part in parts.items() if part is not None}
    if hasattr(source, "dense_i"):
        return {name: _tree(getattr(source, name)) for name in ("dense_i", "dense_h")}
    if hasattr(source, "cell"):
        return {"cell": _tree(source.cell)}
    get = getattr(source, "get_value", None)      # an nnx Variable
    return get() if callable(get) else getattr(source, "value", source)
