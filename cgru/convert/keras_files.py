"""Keras's files without Keras, and without trust in the library that reads them."""

import importlib.util
import json
import math
from functools import partial
from typing import Any

import numpy as np

from cgru.convert._errors import missing
from cgru.convert.keras_layer import Contents, Layer, Network
from cgru.convert.untrusted.child import can_run, run_limited
from cgru.convert.untrusted.files import file_size

_SECONDS = 4
_SLOWEST = 5e6      # bytes a second, of a slow disk


def read_layers(path: str, *, seconds: float | None = None) -> Contents:
    """The recurrent layers in a .keras or .h5 file, arrays read, and the names of the others that do something.

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
    _check(path)
    if not can_run():      # the only cases in which h5py is imported here
        from cgru.convert.keras_hdf5 import read_layers as read_here

        return read_here(path)
    header, arrays = _received(path, False, seconds)
    layers = {
        name: Layer(kind, config, partial(list, arrays[name]), version)
        for name, (kind, config, version) in header["layers"].items()
    }
    return Contents(layers, header["others"])


def read_network(path: str) -> Network:
    """The whole model in a .keras or .h5 file, arrays read, as `read_layers` does it.

    Raises
    ------
    OSError, ValueError, ImportError
    """
    _check(path)
    if not can_run():
        from cgru.convert.keras_hdf5 import read_network as read_here

        return read_here(path)
    header, arrays = _received(path, True, None)
    held: dict[str, Any] = {name: partial(list, part) for name, part in arrays.items()}
    return Network(header["model"], held, header["version"])


def _check(path):
    file_size(path)
    if importlib.util.find_spec("h5py") is None:
        raise missing("h5py", "cgru[keras]")
    with open(path, "rb") as file:
        magic = file.read(8)
    if not magic.startswith(b"PK") and magic != b"\x89HDF\r\n\x1a\n":
        raise ValueError(f"{path} is neither a .keras archive nor an HDF5 file")


def _received(path, whole, seconds):
    """What `keras_hdf5.send` has written in the child process: its header, and the arrays by their layer's path."""
    if seconds is None:
        seconds = _SECONDS + file_size(path) / _SLOWEST
    data = run_limited("cgru.convert.keras_hdf5", path, whole, seconds=seconds)
    head, _, rest = data.partition(b"\n")
    header = json.loads(head)
    if "error" in header:
        raise ValueError(header["error"])
    arrays: dict[str, list[np.ndarray]] = {}
    start = 0
    for name, forms in header["arrays"].items():
        arrays[name] = []
        for dtype, shape in forms:
            count = math.prod(shape)
            array = np.frombuffer(rest, dtype, count, start).reshape(shape) if count else np.empty(shape, dtype)
            arrays[name].append(array)
            start += array.nbytes
    return header, arrays
