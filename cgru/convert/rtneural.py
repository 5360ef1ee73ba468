"""RTNeural's JSON: Keras's arrays in Keras's order, layer by layer.

* weights   kernel (I, 3H), recurrent kernel (H, 3H), bias (2, 3H)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

from cgru.checks import real_array
from cgru.convert._build import Parameters, build, gru_from, kernels
from cgru.convert._errors import check_one_name, chosen, warn_left_out
from cgru.convert.conventions import CONVENTIONS
from cgru.convert.untrusted.files import file_size

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.weights import Weights


def from_rtneural(
    source: Mapping[str, Any] | str | os.PathLike[str],
    layer: int | None = None,
    *,
    batch_first: bool = False,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU:
    """A GRU from a model in RTNeural's JSON.

    Parameters
    ----------
    source : path or dict
        The file, or what `json.load` makes of it.
    layer : int, optional
        The GRU's place among the model's layers, where there are several.
    batch_first : bool, default False
    dtype : dtype, default float32
    engine : str
        As in `from_torch`.

    Raises
    ------
    TypeError
        Neither a path nor a dict.
    ValueError
        No GRU layer, several (they are listed), shapes that do not fit, or no JSON.
    OSError
        The file cannot be read.

    Warns
    -----
    UserWarning
        The model holds other layers with weights, which are left out: they are named. Not where `layer` is given.
    """
    return gru_from(weights_from_rtneural, source, layer, batch_first=batch_first, dtype=dtype, engine=engine)


def weights_from_rtneural(source, layer=None, *, batch_first=False, dtype=None) -> Weights:
    """`Weights` of a GRU layer of an RTNeural model; see `from_rtneural`."""
    model = _read(os.fspath(source)) if isinstance(source, str | os.PathLike) else source
    if not isinstance(model, Mapping):
        raise TypeError(f"expected a path or a dict with layers; got {type(model).__name__}")
    entries = model.get("layers")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError("the model has no list of layers")
    found = {i: entry for i, entry in enumerate(entries) if entry.get("type") == "gru"}
    check_one_name(layer, "layer", (Integral, str))      # a name that is none is answered with those there are
    index = chosen(found, layer, "gru layer", "layer")
    weighty = (i for i, entry in enumerate(entries) if i != index and entry.get("weights"))
    others = (f"{entries[i].get('type')} (layer {i})" for i in weighty)
    warn_left_out(others, index, layer)
    arrays = found[index].get("weights")
    if not isinstance(arrays, list) or len(arrays) != 3:
        raise ValueError("the gru layer has no weights: kernel, recurrent kernel, bias")
    try:
        kernel, recurrent, H = kernels(arrays[0], arrays[1], ("kernel", "recurrent kernel"))
        bias = real_array("bias", arrays[2], (2, 3 * H))
    except TypeError as error:
        raise ValueError(f"the gru layer's weights are not numbers: {error}") from error
    rtneural = CONVENTIONS["rtneural"]
    parameters = Parameters(*(rtneural.canonical(rows) for rows in (kernel.T, recurrent.T, *bias)))
    dtype = "float32" if dtype is None else dtype
    return build([[parameters]], dtype=dtype, reset_after=rtneural.reset_after, batch_first=batch_first)


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
