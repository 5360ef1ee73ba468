"""RTNeural's JSON: Keras's arrays in Keras's order, layer by layer; or a state dict of PyTorch.

* gru    weights: kernel (I, 3H), recurrent kernel (H, 3H), bias (2, 3H)
* lstm   weights: kernel (I, 4H), recurrent kernel (H, 4H), bias (4H,)
* PyTorch's names and nested lists, maybe below others: {"state_dict": {"rec.weight_ih_l0": [[...], ...], ...}}
"""

from __future__ import annotations

import json
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
from cgru.convert.torch import weights_from_torch
from cgru.convert.untrusted.files import file_size

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN
    from cgru.weights import Weights


_TENSOR = re.compile(r"(.*\.)?(weight|bias)(_[ih]h)?(_l\d+)?(_reverse)?")
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
    model = _read(os.fspath(source)) if isinstance(source, str | os.PathLike) else source
    if not isinstance(model, Mapping):
        raise TypeError(f"expected a path or a dict with layers; got {type(model).__name__}")
    check_one_name(layer, "layer", (Integral, str))      # a name that is none is answered with those there are
    dtype = "float32" if dtype is None else dtype
    if "layers" not in model and _tensors(model):
        return _from_state_dict(_tensors(model), layer, batch_first, dtype)
    entries = model.get("layers")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError("the model has no list of layers")
    found = {i: entry for i, entry in enumerate(entries) if entry.get("type") in _BIASES}
    cells = {i: CELLS[entry["type"]] for i, entry in found.items()}
    words = "recurrent layer" if any(entry["type"] != "gru" for entry in found.values()) else "gru layer"
    index = chosen(found, layer, words if found else f"{' or '.join(_BIASES)} layer", "layer")
    cell = cells[index]
    weighty = (i for i, entry in enumerate(entries) if i != index and entry.get("weights"))
    others = (f"{entries[i].get('type')} (layer {i})" for i in weighty)
    warn_left_out(others, index, layer, cell.name)
    return build(
        [[_parameters(cell, found[index].get("weights"))]], cell=cell, dtype=dtype,
        reset_after=CONVENTIONS["rtneural"].reset_after, batch_first=batch_first,
    )  # fmt: skip


#: Type of a recurrent layer, which is a kind of cell here too -> how many biases it has.
_BIASES = {"gru": 2, "lstm": 1}


def _parameters(cell, arrays):
    if not isinstance(arrays, list) or len(arrays) != 3:
        raise ValueError(f"the {cell.kind} layer has no weights: kernel, recurrent kernel, bias")
    two = _BIASES[cell.kind] == 2
    try:
        kernel, recurrent, H = kernels(arrays[0], arrays[1], cell, ("kernel", "recurrent kernel"))
        bias = real_array("bias", arrays[2], (2, cell.stacked * H) if two else (cell.stacked * H,))
    except TypeError as error:
        raise ValueError(f"the {cell.kind} layer's weights are not numbers: {error}") from error
    return canonical("rtneural", cell, kernel.T, recurrent.T, *(bias if two else (bias,)))


# ---- the second form


def _tensors(model, above="", depth=0):
    """Name -> list of what stands under PyTorch's names, such as "lin.bias", in a JSON object and those inside it."""
    found: dict = {}
    for name, value in model.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping) and depth < _DEEPEST:
            found |= _tensors(value, f"{path}.", depth + 1)
        elif isinstance(value, list) and _TENSOR.fullmatch(path):
            found[path] = value
    return found


def _from_state_dict(tensors, layer, batch_first, dtype):
    try:
        arrays = {name: real_array(name, value) for name, value in tensors.items()}
        prefix = None if layer is None else str(layer)
        return weights_from_torch(arrays, prefix=prefix, batch_first=batch_first, dtype=dtype, option="layer")
    except SeveralNetworks:
        raise
    except (ValueError, TypeError) as error:
        raise ValueError(f"this JSON is a state dict of PyTorch, RTNeural's second form: {error}") from error


def _read(path):
    """The object in a JSON file."""
    file_size(path)
    try:
        with open(path, encoding="utf-8") as file:
            model = json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(model, Mapping):
        raise ValueError(f"{path} holds a {type(model).__name__}, expected RTNeural's object with layers")
    return model
