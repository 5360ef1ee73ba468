"""Flax: linen's and nnx's cells; kernels (in, out).

* linen, nnx.LSTMCell   a kernel for each gate of x and of h, and maybe a bias: ir iz in hr hz hn of a GRUCell,
                        ii if ig io hi hf hg ho of an LSTMCell or OptimizedLSTMCell, i h of a SimpleCell
* nnx, the others       dense_i: kernel (I, G), dense_h: kernel (H, G), and maybe biases; G is 3H, 4H or H
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.cells import CELLS
from cgru.checks import real_array
from cgru.convert._build import Parameters, build, canonical, functions, kernels, model_from
from cgru.convert.conventions import CONVENTIONS
from cgru.convert.untrusted.trees import Form, flattened, network_parameters

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN
    from cgru.weights import Weights

#: The layers of nnx's cells.
_DENSE = ("dense_i", "dense_h")
_NNX_LSTM = ("ii", "if_", "ig", "io", "hi", "hf", "hg", "ho")


def _layers(cell):
    """The names of linen's layers for x, then of those for h."""
    return [side + gate for side in "ih" for gate in cell.gates or ("",)]


def _form(kind, layers, **options):
    kernels, biases = (tuple(f"{layer}/{part}" for layer in layers) for part in ("kernel", "bias"))
    return Form(kind, kernels, biases, **options)


_FORMS = (
    *(_form(kind, _layers(cell)) for kind, cell in CELLS.items()),
    _form("lstm", _NNX_LSTM),
    *(_form(kind, _DENSE, stacked="dense_h/kernel") for kind in CELLS),
)


def from_flax(
    source: Any,
    name: str | None = None,
    *,
    activations: Any = None,
    nonlinearity: Any = None,
    batch_first: bool = True,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU | LSTM | RNN:
    """A GRU from Flax's GRUCell, an LSTM from LSTMCell or OptimizedLSTMCell, an RNN from SimpleCell; linen or nnx.

    Parameters
    ----------
    source : mapping or nnx module
        Linen's variables or parameters: {"params": {"GRUCell_0": {"ir": {"kernel": ...}, ...}}}, at any depth; a
        cell of nnx, an nnx.RNN around one, or its state as nested mappings (``nnx.to_pure_dict``).
    name : str, optional
        Which cell, where there are several: its path, joined by "/".
    activations : (f, g), optional
        The cell's `gate_fn` and `activation_fn`, which parameters do not hold; see `cgru.activations`.
    nonlinearity : activation, optional
        A SimpleCell's `activation_fn`; by default "tanh".
    batch_first : bool, default True
        As Flax's RNN has it.
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU, LSTM or RNN
        Its h_n[0] is Flax's carry, of an LSTM (c_n[0], h_n[0]).

    Raises
    ------
    TypeError
        Something else was given.
    ValueError
        No such cell, or several (they are listed); a SimpleCell with ``residual=True``, which parameters do not show.

    Warns
    -----
    UserWarning
        The parameters hold other arrays, which are left out: they are named. Not where `name` is given.
    """
    return model_from(
        weights_from_flax, source, name, activations=activations, nonlinearity=nonlinearity, batch_first=batch_first,
        dtype=dtype, engine=engine,
    )  # fmt: skip


def weights_from_flax(
    source, name=None, *, activations=None, nonlinearity=None, batch_first=True, dtype=None
) -> Weights:
    """`Weights` of a parameter tree or an nnx module; see `from_flax`."""
    form, found = network_parameters(flattened(_tree(source)), _FORMS, name)
    parameters = (_stacked if form.stacked else _apart)(form, found)
    return build(
        [[parameters]], cell=form.cell, dtype=dtype, reset_after=CONVENTIONS["flax"].reset_after,
        activations=functions(form.cell, activations, nonlinearity), batch_first=batch_first,
    )  # fmt: skip


def _apart(form, found):
    """A layer for each gate, those of x first."""
    layers = [name.removesuffix("/kernel") for name in form.needed]
    half = len(layers) // 2
    features, H = real_array(form.needed[0], found[form.needed[0]], (None, None)).shape
    rows, biases = [], []
    for number, layer in enumerate(layers):
        shape = (H if number >= half else features, H)
        rows.append(real_array(f"{layer}/kernel", found[f"{layer}/kernel"], shape).T)
        bias = found.get(f"{layer}/bias")
        biases.append(np.zeros(H, "f") if bias is None else real_array(f"{layer}/bias", bias, (H,)))
    w_ih, w_hh = np.concatenate(rows[:half]), np.concatenate(rows[half:])
    if not any(name in found for name in form.optional):
        return Parameters(w_ih, w_hh)
    return Parameters(w_ih, w_hh, np.concatenate(biases[:half]), np.concatenate(biases[half:]))


def _stacked(form, found):
    w_i, w_h = form.needed
    kernel, recurrent, H = kernels(found[w_i], found[w_h], form.cell, (w_i, w_h))
    biases = [
        None if found.get(name) is None else real_array(name, found[name], (form.cell.stacked * H,))
        for name in form.optional
    ]
    return canonical("flax", form.cell, kernel.T, recurrent.T, *biases)


def _tree(source):
    """A parameter tree as plain mappings down to arrays; of an nnx cell, RNN or module, its own."""
    if isinstance(source, Mapping):
        return {name: _tree(value) for name, value in source.items()}
    if hasattr(source, "kernel"):      # a Linear
        parts = {name: getattr(source, name, None) for name in ("kernel", "bias")}
        return {name: _tree(part) for name, part in parts.items() if part is not None}
    if getattr(source, "residual", False):
        raise ValueError(f"this {type(source).__name__} has residual=True, which is not supported")
    layers = next((names for names in (_DENSE, _NNX_LSTM) if all(hasattr(source, name) for name in names)), ())
    if layers:
        return {name: _tree(getattr(source, name)) for name in layers}
    if hasattr(source, "cell"):
        return {"cell": _tree(source.cell)}
    get = getattr(source, "get_value", None)      # an nnx Variable
    return get() if callable(get) else getattr(source, "value", source)
