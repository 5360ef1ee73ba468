"""RTNeural's JSON: Keras's arrays in Keras's order, layer by layer. Gates z, r, c; reset after; z keeps the old h.

* weights   kernel (I, 3H), recurrent kernel (H, 3H), bias (2, 3H)
"""

import json
import os
from collections.abc import Mapping

from cgru.convert._build import Cell, build, chosen, gates, real_array
from cgru.convert._files import file_size


def weights_from_rtneural(source, layer=None, *, batch_first=False, dtype=None):
    """`Weights` of a GRU layer of an RTNeural model; see `from_rtneural`."""
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        file_size(path)
        try:
            with open(path, encoding="utf-8") as file:
                source = json.load(file)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not JSON: {error}") from error
        if not isinstance(source, Mapping):
            raise ValueError(f"{path} holds a {type(source).__name__}, expected RTNeural's object with layers")
    if not isinstance(source, Mapping):
        raise TypeError(f"expected a path or a dict with layers; got {type(source).__name__}")
    entries = source.get("layers")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError("the model has no list of layers")
    found = {i: entry for i, entry in enumerate(entries) if entry.get("type") == "gru"}
    arrays = found[chosen(found, layer, "gru layer", "layer")].get("weights")
    if not isinstance(arrays, list) or len(arrays) != 3:
        raise ValueError("the gru layer has no weights: kernel, recurrent kernel, bias")
    try:
        recurrent = real_array("recurrent kernel", arrays[1], (None, None))
        H = recurrent.shape[0]
        recurrent = real_array("recurrent kernel", recurrent, (H, 3 * H))
        kernel = real_array("kernel", arrays[0], (None, 3 * H))
        bias = real_array("bias", arrays[2], (2, 3 * H))
    except TypeError as error:
        raise ValueError(f"the gru layer's weights are not numbers: {error}") from error
    if H == 0 or kernel.shape[0] == 0:
        raise ValueError(f"kernel {kernel.shape} and recurrent kernel {recurrent.shape} are empty")
    cell = Cell(gates(kernel.T, "zrn"), gates(recurrent.T, "zrn"), *(gates(row, "zrn") for row in bias))
    return build([[cell]], dtype="float32" if dtype is None else dtype, batch_first=batch_first)
