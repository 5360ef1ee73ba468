"""Keras's files without Keras, and without trust in the library that reads them."""

import importlib.util
import json
import math
from functools import partial

import numpy as np

from cgru.convert._errors import missing
from cgru.convert.keras_layer import Contents, Layer
from cgru.convert.untrusted.child import can_run, run_limited
from cgru.convert.untrusted.files import file_size

_SECONDS = 4
_SLOWEST = 5e6      # bytes a second, of a slow disk


def read_layers(path: str, *, seconds: float | None = None) -> Contents:
    """The recurrent layers in a .keras or .h5 file, arrays read, and the names of the others.

    The HDF5 library can loop for ever or crash on a damaged file, so a child process reads it, in bounded time and
    memory; where Python cannot start itself (a frozen application) it is read here.

    Parameters
    ----------
    path : str
    seconds : float, optional
        How long the child may read, once it is ready to. By default 4, and 1 more for every 5 MB of the file.

    Raises
    ------
    OSError, ValueError, ImportError
    """
    size = file_size(path)
    if importlib.util.find_spec("h5py") is None:
        raise missing("h5py", "cgru[keras]")
    with open(path, "rb") as file:
        magic = file.read(8)
    if not magic.startswith(b"PK") and magic != b"\x89HDF\r\n\x1a\n":
        raise ValueError(f"{path} is neither a .keras archive nor an HDF5 file")
    if not can_run():      # the only case in which h5py is imported here
        from cgru.convert.keras_hdf5 import read_layers as read_here

        return read_here(path)
    if seconds is None:
        seconds = _SECONDS + size / _SLOWEST
    return _received(run_limited("cgru.convert.keras_hdf5", path, seconds=seconds))


def _received(data):
    """The `Contents` in what `keras_hdf5.send` has written."""
    head, _, rest = data.partition(b"\n")
    header = json.loads(head)
    if "error" in header:
        raise ValueError(header["error"])
    layers, start = {}, 0
    for name, (kind, config, version, forms) in header["layers"].items():
        arrays = []
        for dtype, shape in forms:
            count = math.prod(shape)
            arrays.append(np.frombuffer(rest, dtype, count, start).reshape(shape) if count else np.empty(shape, dtype))
            start += arrays[-1].nbytes
        layers[name] = Layer(kind, config, partial(list, arrays), version)
    return Contents(layers, header["others"])
