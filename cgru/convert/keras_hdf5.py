"""What reads Keras's files with h5py; it runs in a child process, and imports no more of cgru than it needs.

A ``.keras`` file is a zip archive of config.json, metadata.json and model.weights.h5, where each layer's arrays lie
under the snake-case names of the classes, numbered: layers/gru, layers/gru_1, ... A legacy file has the
configuration as an attribute, and the arrays under the layers' own names.
"""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

import h5py
import numpy as np

from cgru.convert.keras_layer import RECURRENT, Contents, Layer, kind_of
from cgru.convert.untrusted.child import limit_memory
from cgru.convert.untrusted.files import RATIO, check_expansion, file_size, open_zip, read_member

SPARE = 512 << 20      # bytes that reading may take whatever the file's size


def send(stream: BinaryIO, path: str) -> None:
    """What the child process does: the layers as a line of JSON, then the bytes of their arrays."""
    limit_memory(SPARE + RATIO * file_size(path))
    try:
        layers, others = read_layers(path)
    except ValueError as error:
        stream.write(json.dumps({"error": str(error)}).encode())
        return
    arrays = {name: layer.arrays() for name, layer in layers.items()}
    header = {
        name: [layer.kind, layer.config, layer.version, [[a.dtype.str, a.shape] for a in arrays[name]]]
        for name, layer in layers.items()
    }
    stream.write(json.dumps({"layers": header, "others": others}).encode() + b"\n")
    for array in (array for part in arrays.values() for array in part):
        stream.write(np.ascontiguousarray(array).data)


def read_layers(path: str) -> Contents:
    """The recurrent layers in a .keras or .h5 file, arrays read, and the names of the others.

    Raises
    ------
    OSError, ValueError
    """
    try:
        with open(path, "rb") as file:
            return _read_keras(path) if file.read(2) == b"PK" else _read_legacy(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except Exception as error:      # HDF5's own, and whatever a configuration of the wrong form runs into
        raise ValueError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def _read_keras(path: str) -> Contents:
    with open_zip(path) as archive:
        model = json.loads(read_member(archive, "config.json"))
        version = "3"
        if "metadata.json" in archive.namelist():
            version = str(json.loads(read_member(archive, "metadata.json")).get("keras_version", version))
        data = read_member(archive, "model.weights.h5")
    layers, others = {}, []
    with h5py.File(io.BytesIO(data), "r") as file:
        for name, kind, config, folder in _walk(model):
            if config is None:
                others += [name] if _has_arrays(file, folder) else []
                continue
            if kind == "Bidirectional":
                inner = [_group(file, f"{folder}/{part}") for part in ("forward_layer", "backward_layer")]
                variables = [_variables(group) for group in inner]
            else:
                variables = [_variables(_group(file, folder))]
            arrays = [array for part in variables for array in part]
            layers[name] = Layer(kind, config, partial(list, arrays), version)
    return Contents(layers, others)


def _read_legacy(path: str) -> Contents:
    layers, others = {}, []
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise ValueError(
                "the file holds no model configuration (weights only?); save the whole model, or pass the "
                "layer itself or its get_weights()"
            )
        model = json.loads(_text(file.attrs["model_config"]))
        groups = _group(file, "model_weights") if "model_weights" in file else file
        version = _text(groups.attrs.get("keras_version", file.attrs.get("keras_version", "1")))
        for name, kind, config, _ in _walk(model):
            top, *inner = name.split("/")
            if config is None and top not in groups:
                continue
            group = _group(groups, top)
            names = [weight for weight in _weight_names(group) if all(f"/{part}/" in weight for part in inner)]
            if config is None:
                others += [name] if names else []
                continue
            arrays = [_array(group, weight) for weight in names]
            layers[name] = Layer(kind, config, partial(list, arrays), version)
    return Contents(layers, others)


def _walk(model, outer="", folder="") -> Iterator[tuple[str, str, Mapping[str, Any] | None, str]]:
    """Name, class, configuration and group in model.weights.h5 of every layer of a model, inner models included.

    The configuration is None for a layer that is not recurrent.

    The name is led by `outer`, the names of the models around it ("encoder/"); the group lies in `folder`, theirs.
    """
    config = model["config"]
    entries = config if isinstance(config, list) else config.get("layers", [])      # a list in Keras 1's Sequential
    seen: Counter[str] = Counter()
    for entry in entries:
        kind, inner = entry["class_name"], entry["config"]
        snake = _snake_case(kind)
        group = f"{folder}/layers/{snake}" + (f"_{seen[snake]}" if seen[snake] else "")
        seen[snake] += 1
        if isinstance(inner, list) or "layers" in inner:
            yield from _walk(entry, f"{outer}{_name(entry)}/", group)
        else:
            yield outer + _name(entry), kind, inner if kind in RECURRENT and kind_of(kind, inner) else None, group


def _name(entry):
    config = entry["config"]
    name = entry.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
    return str(name or entry["class_name"].lower())


def _snake_case(name):
    """GRU -> gru, TimeDistributed -> time_distributed, as Keras names the groups."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def _group(parent, path):
    """A group inside `parent`, reached over hard links only: no other file is opened."""
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


def _variables(layer):
    """The arrays of a layer's cell, in order."""
    variables = _group(layer, "cell/vars")
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
    dataset = _group(parent, path)
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu":
        raise ValueError(f"{path} is not an array of numbers")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{path} is stored in another file, which is not opened")
    check_expansion(path, dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size())
    return dataset[()]
