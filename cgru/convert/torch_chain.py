"""PyTorch's networks: modules in their order, or the names of what a state dict holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.activations import linear_activations
from cgru.chain import LASTS, Chain, Last
from cgru.checks import check_dtype, warn
from cgru.convert._errors import naming
from cgru.convert.chains import ChainBuilder, NotAChain
from cgru.convert.torch import weights_from_torch
from cgru.convert.torch_files import flat, read_state
from cgru.convert.torch_modules import (
    Piece,
    dense_piece,
    is_module,
    pieces_of,
    recurrent_piece,
)  # fmt: skip

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

_MOST_UNNAMED = 8       # layers in a warning
_SELECTORS: dict[str, Last] = {"last": True, "h_n": "h_n"}


def chain_from_torch(
    source: Any,
    *,
    layers: Sequence[Any] | None = None,
    batch_first: bool | None = None,
    nonlinearity: Any = None,
    last: Last = False,
    skip: bool = False,
    dtype: DTypeLike | None = None,
) -> Chain:
    """A network from PyTorch: a Sequential, a list of modules, or a state dict whose order is given.

    Parameters
    ----------
    source : torch.nn.Sequential, list, torch.nn.Module, mapping or path
        Modules in their order: ``nn.GRU``, ``nn.LSTM``, ``nn.RNN`` and their cells, ``nn.Linear``, activations
        (``ReLU``, ``Tanh``, ``Sigmoid``, ``ELU``, ``LeakyReLU``, ``PReLU`` with one slope, ``SiLU``, both ``GELU``,
        ``Softplus`` with beta=1, ``Softsign``, ``Hardsigmoid``, ``Softmax`` over the features), ``Identity``,
        ``Dropout``, which is passed over, and ``BatchNorm1d`` behind the last step, which is folded.
        A Sequential is nested or not. A list may hold strings too: "last" where the last step is taken, "h_n" where the
        final state is, and names of activations, see `cgru.activations`; ("elu", 0.5) is one with its parameter.
        A recurrent layer passes its y on, not the pair that PyTorch returns.
        A state dict, or a ``.pt``, ``.safetensors`` or ``.npz`` file of one, or a module whose forward puts
        its modules in order: these need `layers`.
    layers : sequence of str, optional
        What the network computes, in its order: names of submodules or prefixes of a state dict, and strings as in
        a list, where nothing in `source` has that name: ``["gru", "last", "hidden", "relu", "head"]``.
    batch_first : bool, optional
        By default as in the recurrent modules, which must all have the same; False for a state dict, which does not
        hold it.
    nonlinearity : activation, optional
        Of the RNNs in a state dict, which does not hold it; "tanh" by default.
    last : bool or "h_n", default False
        As in `Sequential`: True for "last" behind the last recurrent layer, "h_n" for "h_n" there.
    skip : bool, default False
        As in `Sequential`.
    dtype : dtype, optional
        float32 or float64; by default float64 where all parameters are float64, else float32.

    Returns
    -------
    Chain

    Raises
    ------
    NotAChain
        A ValueError. A module is none of these: a layer without a counterpart, or with a forward of its own, which
        cannot be read. The message names it, and says what to give instead, or the line of NumPy that does it.
    TypeError
        Something else was given.
    ValueError
        No order; unknown names; sizes that do not fit, with the names of the modules; modules with both layouts; a
        file that is damaged or needs code run.
    OSError
        The file cannot be read.
    ImportError
        A ``.pt`` file without PyTorch.

    Warns
    -----
    UserWarning
        A state dict holds layers that are not among `layers`.
    """
    dtype = None if dtype is None else check_dtype(dtype)
    if not any(last is value or (last == value and isinstance(last, str)) for value in LASTS):
        raise ValueError(f"last must be False, True or 'h_n'; got {last!r}")
    if isinstance(layers, str) or (layers is not None and not isinstance(layers, Sequence)):
        raise TypeError(f"layers must be a sequence of names, such as ['gru', 'head']; got {layers!r}")
    left: list[str] = []
    with naming(source):
        chain = _chain(_pieces(source, layers, nonlinearity, left), batch_first, last, skip, dtype)
    if left:
        more = f" and {len(left) - _MOST_UNNAMED} more" if len(left) > _MOST_UNNAMED else ""
        some = ", ".join(left[:_MOST_UNNAMED])
        warn(f"layers={layers!r} leaves out {some}{more}, which the state dict holds too", UserWarning)
    return chain


def _pieces(source, layers, nonlinearity, left):
    """The parts of the chain; `left` becomes the layers of a state dict that are not among `layers`."""
    if isinstance(source, str | os.PathLike):
        return _of_state(read_state(os.fspath(source))[0], layers, nonlinearity, left)
    if isinstance(source, Mapping):
        return _of_state(flat(source), layers, nonlinearity, left)
    if is_module(source):
        if layers is None:
            return pieces_of(source, "")
        return _of_module(source, layers)
    if isinstance(source, list | tuple):
        if layers is not None:
            raise TypeError("a list of modules has its order: leave out layers")
        return [piece for number, item in enumerate(source) for piece in _of_item(item, str(number))]
    raise TypeError(
        "expected an nn.Sequential, a list of modules in their order, a state dict with layers=, or the path of a "
        f".pt, .safetensors or .npz file of one; got {type(source).__name__}"
    )


def _of_item(item, name):
    """The pieces of an item of a list."""
    if is_module(item):
        return pieces_of(item, name)
    word = _word(item)
    if word is not None:
        return [word]
    what = f"a {type(item).__name__}" if not isinstance(item, str) else repr(item)
    raise TypeError(
        f"item {name} of the list is {what}; expected a module, 'last', 'h_n', or the name of an activation"
    )


def _word(item):
    """The piece of a selector or an activation; None where it is none."""
    if isinstance(item, str) and item in _SELECTORS:
        return Piece(repr(item), "last_step", (_SELECTORS[item],))
    if not isinstance(item, str | tuple | list):
        return None
    try:
        linear_activations(item)
    except (ValueError, TypeError):
        return None
    return Piece(repr(item), "activation", (item if isinstance(item, str) else tuple(item),))


def _of_module(module, layers):
    """The submodules that `layers` names."""
    inside = dict(module.named_modules(remove_duplicate=False))
    inside.pop("")
    pieces = []
    for name in layers:
        if isinstance(name, str) and name in inside:
            pieces += pieces_of(inside[name], name)
        else:
            pieces.append(_word(name) or _unknown(name, inside, "submodules"))
    return pieces


def _unknown(name, names, what):
    held = ", ".join(repr(one) for one in list(names)[:20]) + (", ..." if len(names) > 20 else "")
    raise ValueError(
        f"{name!r} in layers is none of the {what}, {held or 'of which there are none'}, nor 'last', 'h_n' or an "
        "activation of cgru.activations"
    )


def _of_state(state, layers, nonlinearity, left):
    """What `layers` names in a state dict."""
    prefixes: dict[str, dict[str, Any]] = {}
    for name, value in state.items():
        if len(getattr(value, "shape", ())) > 0:
            above, _, own = name.rpartition(".")
            prefixes.setdefault(above, {})[own] = value
    if layers is None:
        if len(prefixes) != 1:
            raise ValueError(
                "a state dict does not say in which order its layers run, and with which activations: give layers=, "
                f"such as layers={list(prefixes)[:8]}, with the names of the activations between them"
            )
        layers = list(prefixes)
    pieces = []
    for name in layers:
        prefix = name.removesuffix(".") if isinstance(name, str) else None
        if prefix in prefixes:
            pieces.append(_at_prefix(state, prefix, prefixes[prefix], nonlinearity))
        else:
            pieces.append(_word(name) or _no_prefix(name, prefixes))
    named = {name.removesuffix(".") for name in layers if isinstance(name, str)}
    left += [repr(prefix) for prefix, arrays in prefixes.items()        # an optimiser's state is no layer
             if prefix not in named and any(own.startswith("weight") for own in arrays)]  # fmt: skip
    return pieces


def _no_prefix(name, prefixes):
    below = [one for one in prefixes if isinstance(name, str) and one.startswith(f"{name.removesuffix('.')}.")]
    if below:
        raise ValueError(
            f"{name!r} in layers stands before several, {', '.join(map(repr, below))}: name each one, and the "
            "activations between them"
        )
    return _unknown(name, prefixes, "prefixes in the state dict")


def _at_prefix(state, prefix, arrays, nonlinearity):
    """The layer of these arrays, which stand at `prefix`."""
    label = repr(prefix)
    if any(name.startswith("weight_hr") for name in arrays):
        raise NotAChain(f"{label} has a projection (proj_size), which no layer here has")
    if any(name.startswith("weight_ih") for name in arrays):
        asked = f"{prefix}." if prefix else ""
        own = {f"{asked}{name}": value for name, value in arrays.items()}
        is_rnn = _rows(arrays) == 1
        weights = weights_from_torch(own, prefix=asked, nonlinearity=nonlinearity if is_rnn else None)
        return recurrent_piece(f"{label} ({weights.config.cell.name})", weights, None)
    if "running_mean" in arrays:
        raise NotAChain(
            f"{label} is a BatchNorm, whose eps a state dict does not hold; give the modules, or in NumPy: "
            "y = (x - mean) / np.sqrt(var + eps) * weight + bias"
        )
    if "weight" in arrays and set(arrays) <= {"weight", "bias"} and len(arrays["weight"].shape) == 2:
        return dense_piece(f"{label} (Linear)", arrays["weight"], arrays.get("bias"))
    held = ", ".join(f"{name} {tuple(value.shape)}" for name, value in list(arrays.items())[:8])
    raise NotAChain(f"{label} holds {held}: that is no recurrent layer and no Linear")


def _rows(arrays):
    """Matrices of H rows that a recurrent weight has on top of each other."""
    recurrent = next((value.shape for name, value in arrays.items() if name.startswith("weight_hh")), (0, 1))
    return recurrent[0] / max(1, recurrent[-1])


# ---- pieces to a chain


def _chain(pieces, batch_first, last, skip, dtype):
    pieces = _with_last(pieces, last)
    _check_order(pieces)
    builder = ChainBuilder()
    for number, piece in enumerate(pieces):
        before = builder.features
        if piece.takes is not None and before is not None and piece.takes != before:
            raise ValueError(f"{piece.label} takes {piece.takes} features, and what is before it gives {before}")
        if piece.method in ("activation", "affine"):
            ahead = next((one.takes for one in pieces[number:] if one.takes is not None), None)
            getattr(builder, piece.method)(*piece.arguments, before or ahead)
        else:
            getattr(builder, piece.method)(*piece.arguments)
    if dtype is None:
        found = [piece.dtype for piece in pieces if piece.dtype is not None]
        dtype = np.float64 if found and all(one == np.float64 for one in found) else np.float32
    return builder.chain(skip=skip, batch_first=_layout(pieces, batch_first), dtype=dtype)


def _check_order(pieces):
    """Refuse what stands on the wrong side of the step that is taken."""
    recurrent = [number for number, piece in enumerate(pieces) if piece.method == "recurrent"]
    taken = next((number for number, piece in enumerate(pieces) if piece.method == "last_step"), len(pieces))
    for number, piece in enumerate(pieces):
        if piece.one_step and recurrent and number < taken:
            raise NotAChain(f"{piece.label} {piece.one_step}")
        if piece.method == "recurrent" and number > taken:
            raise NotAChain(f"{piece.label} stands behind {pieces[taken].label}, which leaves it one step to run over")
    if taken < len(pieces) and pieces[taken].arguments == ("h_n",) and taken - 1 not in recurrent:
        raise NotAChain(f"{pieces[taken].label} must stand behind a recurrent layer, whose final state it takes")


def _with_last(pieces, last):
    """The pieces with the selector that `last` asks for, behind the last recurrent one."""
    if last is False:
        return pieces
    if any(piece.method == "last_step" for piece in pieces):
        raise ValueError(f"last={last!r}, and there is a 'last' or 'h_n' among the layers: give one of them")
    recurrent = [number for number, piece in enumerate(pieces) if piece.method == "recurrent"]
    place = recurrent[-1] + 1 if recurrent else 0
    return [*pieces[:place], Piece(f"last={last!r}", "last_step", (last,)), *pieces[place:]]


def _layout(pieces, batch_first):
    found = {piece.batch_first: piece.label for piece in pieces if piece.batch_first is not None}
    if len(found) > 1:
        raise ValueError(
            f"{found[True]} has batch_first=True, {found[False]} batch_first=False: a network has one layout"
        )
    return next(iter(found), False) if batch_first is None else batch_first
