"""What reads Keras's files with h5py; it runs in a child process, and imports no more of cgru than it needs.

A ``.keras`` file is a zip archive of config.json, metadata.json and model.weights.h5, where each layer's arrays lie
under the snake-case names of the classes, numbered: layers/gru, layers/gru_1, ... A legacy file has the
configuration as an attribute, and the arrays under the layers' own names.
"""

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np

from cgru.convert.keras_layer import Contents, Layer, Network, Part, is_recurrent, leaves, passes
from cgru.convert.untrusted.child import limit_memory
from cgru.convert.untrusted.files import RATIO, check_expansion, file_size, open_zip, read_member

SPARE = 512 << 20      # bytes that reading may take whatever the file's size


def send(stream: BinaryIO, path: str, whole: bool = False) -> None:
    """What the child process does: the layers, or the `whole` network, as a line of JSON; then the arrays' bytes."""
    limit_memory(SPARE + RATIO * file_size(path))
    try:
        found = read_network(path) if whole else read_layers(path)
    except ValueError as error:
        stream.write(json.dumps({"error": str(error)}).encode())
        return
    if isinstance(found, Network):
        arrays: dict[str, Any] = {name: read() for name, read in found.arrays.items()}
        header: dict[str, Any] = {"model": found.model, "version": found.version}
    else:
        arrays = {name: layer.arrays() for name, layer in found.layers.items()}
        layers = {name: [layer.kind, layer.config, layer.version] for name, layer in found.layers.items()}
        header = {"layers": layers, "others": found.others}
    header["arrays"] = {name: [[a.dtype.str, a.shape] for a in part] for name, part in arrays.items()}
    stream.write(json.dumps(header).encode() + b"\n")
    for array in (array for part in arrays.values() for array in part):
        stream.write(np.ascontiguousarray(array).data)


def read_layers(path: str) -> Contents:
    """The recurrent layers in a .keras or .h5 file, arrays read, and the names of the others that do something.

    Raises
    ------
    OSError, ValueError
    """
    return _read(path, _layers)


def read_network(path: str) -> Network:
    """The model in a .keras or .h5 file, arrays read.

    Raises
    ------
    OSError, ValueError
    """
    return _read(path, _network)


class _Saved(NamedTuple):
    """An open file: the model, the version of its Keras, whether a part has arrays there, and what gives them."""

    model: Any
    version: str
    holds: Callable[[Part], bool]
    arrays: Callable[[Part], list[np.ndarray]]


def _read(path, collect):
    try:
        with open(path, "rb") as file:
            opened = _keras if file.read(2) == b"PK" else _legacy
        with opened(path) as saved:
            return collect(saved)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except Exception as error:      # HDF5's own, and whatever a configuration of the wrong form runs into
        raise ValueError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def _layers(saved):
    layers: dict[str, Layer] = {}
    others: list[str] = []
    for part in leaves(saved.model):
        if is_recurrent(part):
            layers[part.path] = Layer(part.kind, part.config, partial(list, saved.arrays(part)), saved.version)
        elif saved.holds(part) or not passes(part.kind, part.config):
            others.append(part.path)
    return Contents(layers, others)


def _network(saved):
    held = (part for part in leaves(saved.model) if saved.holds(part))
    return Network(saved.model, {part.path: partial(list, saved.arrays(part)) for part in held}, saved.version)


@contextlib.contextmanager
def _keras(path: str) -> Iterator[_Saved]:
    with open_zip(path) as archive:
        model = json.loads(read_member(archive, "config.json"))
        version = "3"
        if "metadata.json" in archive.namelist():
            version = str(json.loads(read_member(archive, "metadata.json")).get("keras_version", version))
        data = read_member(archive, "model.weights.h5")
    with h5py.File(io.BytesIO(data), "r") as file:

        def arrays(part):
            if not is_recurrent(part):
                return _variables(file, f"{part.folder}/vars") if f"{part.folder}/vars".strip("/") in file else []
            inner = ("forward_layer/", "backward_layer/") if part.kind == "Bidirectional" else ("",)
            return [array for one in inner for array in _variables(file, f"{part.folder}/{one}cell/vars")]

        yield _Saved(model, version, lambda part: _has_arrays(file, part.folder), arrays)


@contextlib.contextmanager
def _legacy(path: str) -> Iterator[_Saved]:
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise ValueError(
                "the file holds no model configuration (weights only?); save the whole model, or pass the "
                "layer itself or its get_weights()"
            )
        model = json.loads(_text(file.attrs["model_config"]))
        groups = _group(file, "model_weights") if "model_weights" in file else file
        version = _text(groups.attrs.get("keras_version", file.attrs.get("keras_version", "1")))

        def names(part):
            top, *inner = part.path.split("/")
            held = _weight_names(_group(groups, top))
            return top, [weight for weight in held if all(f"/{one}/" in f"/{weight}" for one in inner)]

        def arrays(part):
            top, held = names(part)
            return [_array(_group(groups, top), weight) for weight in held]

        def holds(part):
            return part.path.partition("/")[0] in groups and bool(names(part)[1])

        yield _Saved(model, version, holds, arrays)


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def _group(parent, path):
    """A group inside `parent`."""
    found = _item(parent, path)
    if not isinstance(found, h5py.Group):       # a dataset has rows, and may have any number of them
        raise ValueError(f"{path} is an array, expected a group of them")
    return found


def _item(parent, path):
    """A group or dataset inside `parent`, reached over hard links only: no other file is opened."""
    for part in path.strip("/").split("/"):
        if not isinstance(parent, h5py.Group) or part not in parent:
            raise ValueError(f"there is no group {path} in the weights")
        if not isinstance(parent.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{path} is a link, expected a group of the file itself")
        parent = parent[part]
    return parent


def _has_arrays(file, path):
    """Whether there is a dataset in a group, as there is of a layer with weights."""
    if path.strip("/") not in file:
        return False
    found = _group(file, path).visititems(lambda name, item: True if isinstance(item, h5py.Dataset) else None)
    return bool(found)


def _variables(file, path):
    """The arrays in a group, in order."""
    variables = _group(file, path)
    return [_array(variables, name) for name in sorted(variables, key=int)]


def _weight_names(group):
    """The attribute weight_names, which HDF5's size limit may have split into weight_names0, 1, ..."""
    if "weight_names" in group.attrs:
        return [_text(name) for name in group.attrs["weight_names"]]
    parts = [name for name in group.attrs if re.fullmatch(r"weight_names\d+", name)]
    parts.sort(key=lambda name: int(name.removeprefix("weight_names")))
    return [_text(name) for part in parts for name in group.attrs[part]]


def _array(parent, path):
    """A dataset of numbers that is stored in this file, of a size that its storage justifies."""
    dataset = _item(parent, path)
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu":
        raise ValueError(f"{path} is not an array of numbers")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{path} is stored in another file, which is not opened")
    check_expansion(path, dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size())
    return dataset[()]
