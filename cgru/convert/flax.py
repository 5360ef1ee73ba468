"""Flax: linen's and nnx's GRUCell. Gates r, z, n; kernels (in, out); reset after; z keeps the old h.

* linen   ir iz in hr hz hn apart, each with a kernel; bias in ir, iz, in and hn
* nnx     dense_i: kernel (I, 3H), bias (3H,)      dense_h: kernel (H, 3H), and maybe bias
"""

from collections.abc import Mapping

import numpy as np

from cgru.convert._build import Cell, build, real_array
from cgru.convert._trees import cell_parameters

_LINEN = ("ir", "iz", "in", "hr", "hz", "hn")


def weights_from_flax(source, name=None, *, activations=None, batch_first=True, dtype=None):
    """`Weights` of a parameter tree or an nnx module; see `from_flax`."""
    tree = _tree(source)
    if any("dense_i" in path for path in _paths(tree)):
        kernels, biases = (tuple(f"{part}/{kind}" for part in ("dense_i", "dense_h")) for kind in ("kernel", "bias"))
        cell = _nnx(cell_parameters(tree, kernels, name, biases))
    else:
        kernels, biases = (tuple(f"{gate}/{kind}" for gate in _LINEN) for kind in ("kernel", "bias"))
        cell = _linen(cell_parameters(tree, kernels, name, biases))
    return build([[cell]], dtype=dtype, activations=activations, batch_first=batch_first)


def _linen(found):
    H = real_array("hn/kernel", found["hn/kernel"], (None, None)).shape[0]
    kernels = {gate: real_array(f"{gate}/kernel", found[f"{gate}/kernel"], (None, H)).T for gate in _LINEN}
    for gate in _LINEN:
        rows = kernels["hn" if gate[0] == "h" else "in"].shape[1]
        real_array(f"{gate}/kernel", kernels[gate].T, (rows, H))
    biases = {
        gate: real_array(f"{gate}/bias", found[f"{gate}/bias"], (H,)) if f"{gate}/bias" in found else np.zeros(H, "f")
        for gate in _LINEN
    }
    has_bias = any(f"{gate}/bias" in found for gate in _LINEN)
    return Cell(
        np.concatenate([kernels[gate] for gate in _LINEN[:3]]),
        np.concatenate([kernels[gate] for gate in _LINEN[3:]]),
        np.concatenate([biases[gate] for gate in _LINEN[:3]]) if has_bias else None,
        np.concatenate([biases[gate] for gate in _LINEN[3:]]) if has_bias else None,
    )


def _nnx(found):
    recurrent = real_array("dense_h/kernel", found["dense_h/kernel"], (None, None))
    H = recurrent.shape[0]
    recurrent = real_array("dense_h/kernel", recurrent, (H, 3 * H))
    kernel = real_array("dense_i/kernel", found["dense_i/kernel"], (None, 3 * H))
    biases = [
        real_array(name, found[name], (3 * H,)) if found.get(name) is not None else None
        for name in ("dense_i/bias", "dense_h/bias")
    ]
    return Cell(kernel.T, recurrent.T, *biases)


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


def _paths(tree, above=""):
    for name, value in tree.items() if isinstance(tree, Mapping) else ():
        yield f"{above}/{name}"
        yield from _paths(value, f"{above}/{name}")
