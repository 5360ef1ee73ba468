"""RTNeural's JSON: Keras's arrays in Keras's order, layer by layer; or a state dict of PyTorch.

* gru    weights: kernel (I, 3H), recurrent kernel (H, 3H), bias (2, 3H)
* lstm   weights: kernel (I, 4H), recurrent kernel (H, 4H), bias (4H,)
* PyTorch's names and nested lists, maybe below others: {"state_dict": {"rec.weight_ih_l0": [[...], ...], ...}}

Whole networks are read by `rtneural_chain`, and written by `rtneural_write`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

from cgru.cells import CELLS
from cgru.checks import real_array
from cgru.convert._build import build, canonical, kernels, model_from
from cgru.convert._errors import SeveralNetworks, check_one_name, chosen, warn_left_out
from cgru.convert.conventions import CONVENTIONS
from cgru.convert.json_files import json_object
from cgru.convert.torch import weights_from_torch

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN
    from cgru.weights import Weights


#: Type of a recurrent layer, which is a kind of cell here too -> how many biases it has.
BIASES = {"gru": 2, "lstm": 1}

#: What AIDA-X does around a network, where these are neither 0 nor null.
AROUND = ("in_skip", "in_gain", "out_gain")

_TENSOR = re.compile(r"(.*\.)?(weight|bias)(_[ih]h)?(_l\d+)?(_reverse)?")
_RECURRENT = re.compile(r"(?:(.*)\.)?(?:weight|bias)_[ih]h(?:_l\d+)?(?:_reverse)?")
_DEEPEST = 4


def from_rtneural(
    source: Mapping[str, Any] | str | os.PathLike[str],
    layer: int | str | None = None,
    *,
    batch_first: bool = False,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU | LSTM | RNN:
    """A GRU or LSTM from a model in RTNeural's JSON, or whatever network is in its second form.

    Parameters
    ----------
    source : path or dict
        The file, or what `json.load` makes of it: a model with layers, or a state dict of PyTorch, which `from_torch`
        would read.
    layer : int or str, optional
        The layer's place among the model's, where there are several; in a state dict its prefix, as in `from_torch`.
    batch_first : bool, default False
    dtype : dtype, default float32
    engine : str
        As in `from_torch`.

    Raises
    ------
    TypeError
        Neither a path nor a dict.
    ValueError
        No such layer, several (they are listed), shapes that do not fit, or no JSON.
    OSError
        The file cannot be read.

    Warns
    -----
    UserWarning
        The model holds other layers with weights, which are left out: they are named. Not where `layer` is given.
    """
    return model_from(weights_from_rtneural, source, layer, batch_first=batch_first, dtype=dtype, engine=engine)


def weights_from_rtneural(source, layer=None, *, batch_first=False, dtype=None) -> Weights:
    """`Weights` of a recurrent layer of an RTNeural model; see `from_rtneural`."""
    model = json_object(source, "a dict with layers")
    check_one_name(layer, "layer", (Integral, str))      # a name that is none is answered with those there are
    dtype = "float32" if dtype is None else dtype
    tensors = {} if "layers" in model else tensors_in(model)
    if tensors:
        return _from_state_dict(model, tensors, layer, batch_first, dtype)
    entries = entries_in(model)
    found = {i: entry for i, entry in enumerate(entries) if entry.get("type") in BIASES}
    words = "recurrent layer" if any(entry["type"] != "gru" for entry in found.values()) else "gru layer"
    index = chosen(found, layer, words if found else f"{' or '.join(BIASES)} layer", "layer")
    others = (_in_words(entry, i) for i, entry in enumerate(entries) if i != index)
    left = [*filter(None, others), *(name for name in AROUND if model.get(name))]
    weights = layer_weights(found[index], dtype=dtype, batch_first=batch_first)
    warn_left_out(left, index, layer, weights.config.cell.name, door="from_rtneural")
    return weights


def entries_in(model):
    """The layers of a model, each a dict.

    Raises
    ------
    ValueError
        There is no list of them.
    """
    entries = model.get("layers")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError("the model has no list of layers")
    return entries


def _in_words(entry, number):
    """A layer that changes what goes through it, by name; None for others."""
    if entry.get("type") == "activation":
        return f"{entry.get('activation')} (layer {number})" if entry.get("activation") else None
    return f"{entry.get('type')} (layer {number})" if entry.get("weights") else None


def layer_weights(entry, *, dtype=None, batch_first=False) -> Weights:
    """`Weights` of an entry whose type is in `BIASES`.

    Raises
    ------
    ValueError
        Its arrays are not there, are no numbers, or do not fit.
    """
    cell = CELLS[entry["type"]]
    return build(
        [[_parameters(cell, entry.get("weights"))]], cell=cell, dtype=dtype,
        reset_after=CONVENTIONS["rtneural"].reset_after, batch_first=batch_first,
    )  # fmt: skip


def _parameters(cell, arrays):
    if not isinstance(arrays, list) or len(arrays) != 3:
        raise ValueError(f"the {cell.kind} layer has no weights: kernel, recurrent kernel, bias")
    two = BIASES[cell.kind] == 2
    try:
        kernel, recurrent, H = kernels(arrays[0], arrays[1], cell, ("kernel", "recurrent kernel"))
        bias = real_array("bias", arrays[2], (2, cell.stacked * H) if two else (cell.stacked * H,))
    except TypeError as error:
        raise ValueError(f"the {cell.kind} layer's weights are not numbers: {error}") from error
    return canonical("rtneural", cell, kernel.T, recurrent.T, *(bias if two else (bias,)))


# ---- the second form


def tensors_in(model, above="", depth=0):
    """Name -> list of what stands under PyTorch's names, such as "lin.bias", in a JSON object and those inside it."""
    found: dict = {}
    for name, value in model.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping) and depth < _DEEPEST:
            found |= tensors_in(value, f"{path}.", depth + 1)
        elif isinstance(value, list) and _TENSOR.fullmatch(path):
            found[path] = value
    return found


def _from_state_dict(model, tensors, layer, batch_first, dtype):
    try:
        arrays = {name: real_array(name, value) for name, value in tensors.items()}
        prefixes = {name: match[1] for name in arrays if (match := _RECURRENT.fullmatch(name))}
        recurrent = {name: arrays[name] for name in prefixes}
        weights = weights_from_torch(
            recurrent or arrays, prefix=None if layer is None else str(layer), batch_first=batch_first, dtype=dtype,
            option="layer",
        )  # fmt: skip
    except SeveralNetworks:
        raise
    except (ValueError, TypeError) as error:
        raise ValueError(f"this JSON is a state dict of PyTorch, RTNeural's second form: {error}") from error
    prefix = next(iter(prefixes.values()))
    left = [name for name in arrays if name not in recurrent]
    facts = model.get("model_data")
    if isinstance(facts, Mapping) and facts.get("skip"):
        left.append("model_data.skip")
    warn_left_out(left, "" if prefix is None else f"{prefix}.", layer, weights.config.cell.name, door="from_rtneural")
    return weights
