"""Model files: safetensors, with the configuration in the metadata.

Parameters stand under PyTorch's names. Quantised matrices (quantize.py) stand there in their own type, BF16 or I8, the
scales of an I8 one, F32, under its name with ".scale" behind it; the metadata then say each layer's weight type.
A network's layers are numbered: "0.weight_ih_l0", "1.weight".
"""

import dataclasses
import json
import os

import numpy as np
import safetensors.numpy

from cgru._version import __version__
from cgru.cells import KINDS
from cgru.chain import Chain
from cgru.config import Config
from cgru.files import write_whole
from cgru.quantize import WEIGHT_DTYPES, Quantized
from cgru.tensors import TensorFile, serialized
from cgru.weights import Weights

FORMAT_VERSION = 2      # 1, of cgru 0.1, spelt the configuration's `kind` as "cell"; it is still read
QUANTIZED_VERSION = 3       # the same with quantised matrices, so that a cgru that has none refuses them
CHAIN_VERSION = 4           # a Linear, or a network: a list of what 3 has
_VERSIONS = (1, FORMAT_VERSION, QUANTIZED_VERSION, CHAIN_VERSION)
MOST_LAYERS = 4096
_KEY = "cgru"
_STORED = {"float32": "F32", "float64": "F64", "bfloat16": "BF16", "int8": "I8"}     # a type as safetensors calls it


def save(path, weights, notes=None):
    """Write `Weights` or a `Chain`, atomically, and `notes`: more metadata, text by name, which `load` passes over."""
    if isinstance(weights, Chain):
        layers = [{"config": dataclasses.asdict(one.config), "weight_dtypes": one.weight_dtypes}
                  for one in weights.layers]  # fmt: skip
        configuration = {"format": CHAIN_VERSION, "layers": layers} | {
            name: getattr(weights, name) for name in ("last", "skip", "batch_first")
        }
        quantised = any(one.quantized_layers() for one in weights.layers)
    else:
        quantised = bool(weights.quantized_layers())
        version = QUANTIZED_VERSION if quantised else FORMAT_VERSION
        version = version if weights.config.recurrent else CHAIN_VERSION
        configuration = {"format": version, "config": dataclasses.asdict(weights.config)}
        if version != FORMAT_VERSION:
            configuration["weight_dtypes"] = weights.weight_dtypes
    metadata = {_KEY: json.dumps(configuration)} | (notes or {})
    if quantised or notes:      # safetensors writes several metadata in a random order
        data = serialized(dict(_parts(weights.stored)), metadata)
    else:
        data = safetensors.numpy.save(weights.tensors, metadata=metadata)
    write_whole(path, data)


def _parts(stored):
    """Yield (name, (type, numbers)) of all parameters, of a quantised one its scales too."""
    for name, value in stored.items():
        if not isinstance(value, Quantized):
            yield name, (_STORED[str(value.dtype)], value)
            continue
        yield name, (_STORED[value.weight_dtype], value.values)
        if value.scale is not None:
            yield f"{name}.scale", ("F32", value.scale)


def load(path):
    """Read `Weights` or a `Chain` from a file of `save`.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is truncated, no safetensors file, of an unknown format version, or its tensors do not fit its
        configuration; quantised ones are not as `cgru.quantize` has them.
    """
    path = os.fsdecode(path)
    with TensorFile(path) as file:
        if _KEY not in file.metadata:
            raise ValueError(
                f"{path} has no cgru configuration in its metadata; for PyTorch's weights use GRU.from_state_dict"
            )
        try:    # before the numbers: a later format may have types that are unknown here
            version, configuration = _read_configuration(file.metadata[_KEY])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        types = {name: tensor.dtype for name, tensor in file.tensors.items()}
        tensors = {name: file.read(name) for name in file.tensors}
    try:
        if version != CHAIN_VERSION or "layers" not in configuration:
            return _weights(version, configuration, tensors, types)
        return _chain(configuration, tensors, types)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: {error}") from error


def _chain(configuration, tensors, types):
    """The `Chain` of a network's configuration and parameters."""
    entries = configuration["layers"]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("layers in the metadata must be a list of configurations")
    if len(entries) > MOST_LAYERS:
        raise ValueError(f"the metadata list {len(entries)} layers, of which {MOST_LAYERS} are read")
    options = {name: value for name, value in configuration.items() if name not in ("format", "layers")}
    unknown = set(options) - {"last", "skip", "batch_first"}
    if unknown:
        raise ValueError(f"unknown configuration entries: {', '.join(sorted(unknown))}; update cgru")
    numbers = {str(number) for number in range(len(entries))}
    stray = [name for name in tensors if "." not in name or name.partition(".")[0] not in numbers]
    if stray:
        raise ValueError(f"unknown {', '.join(stray[:4])}: the parameters of no layer")
    layers = []
    for number, entry in enumerate(entries):
        own = f"{number}."
        inside = {name.removeprefix(own): value for name, value in tensors.items() if name.startswith(own)}
        try:
            layers.append(_weights(CHAIN_VERSION, entry, inside, {name: types[own + name] for name in inside}))
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"layer {number}: {error}") from error
    return Chain(tuple(layers), **options)


def _weights(version, configuration, tensors, types):
    """The `Weights` of one model's configuration and parameters."""
    config, weight_dtypes = _read_config(version, configuration)
    if version == QUANTIZED_VERSION or set(weight_dtypes or ()) & set(WEIGHT_DTYPES):
        return Weights(config, _quantized(config, weight_dtypes, tensors, types))
    weights = Weights(config, tensors)
    for name, array in tensors.items():     # a file of cgru needs no conversion
        if types[name] != _STORED[str(weights.dtype)]:
            found = "bfloat16" if types[name] == _STORED["bfloat16"] else array.dtype
            raise ValueError(f"{name} has dtype {found}, expected that of the model, {weights.dtype}")
    return weights


def _quantized(config, weight_dtypes, tensors, types):
    """The parameters in a file whose layers have these weight types: `Weights.stored`, where all is as it should be.

    Parameters
    ----------
    config : Config
    weight_dtypes : list of str
        One for each layer.
    tensors, types : dict
        By name what is in the file, and the types as the file has them.
    """
    matrices = {name: weight_dtypes[layer] for layer, name in config.matrices()}
    for name, found in types.items():
        expected = _STORED[matrices.get(name, "float32")]
        if found != expected:
            raise ValueError(f"{name} is stored as {found}, expected {expected}")
    stored = dict(tensors)
    for name, weight_dtype in matrices.items():
        if weight_dtype == "float32" or name not in stored:      # that it is missing `Weights` says, with its shape
            continue
        values, scale = stored[name], None
        if weight_dtype == "bfloat16":
            values = (values.view(np.uint32) >> 16).astype(np.uint16)
        elif f"{name}.scale" in stored:
            scale = stored.pop(f"{name}.scale")
        else:
            raise ValueError(f"missing {name}.scale, the scales of int8 weights")
        try:
            stored[name] = Quantized(values, scale)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name}: {error}") from error
    return stored


def _read_configuration(text):
    """(format version, everything) in the metadata."""
    try:
        configuration = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its cgru metadata is not JSON: {error}") from error
    version = configuration.get("format") if isinstance(configuration, dict) else None
    if version not in _VERSIONS:
        raise ValueError(
            f"format version {version!r:.80} is unknown to cgru {__version__}, which reads versions {_VERSIONS[0]} to "
            f"{_VERSIONS[-1]}; update cgru"
        )
    return version, configuration


def _read_config(version, configuration):
    """Configuration and weight types of a model's layers; None for the latter in formats that have none."""
    fields = configuration.get("config")
    if not isinstance(fields, dict):
        raise ValueError("the metadata holds no configuration")
    if version == 1 and "cell" in fields:
        fields = {"kind" if name == "cell" else name: value for name, value in fields.items()}
    fields = _without_surplus_activations(fields)
    unknown = set(fields) - set(Config.__dataclass_fields__)
    if unknown:
        raise ValueError(f"unknown configuration entries: {', '.join(sorted(unknown))}; update cgru")
    missing = {"input_size", "hidden_size"} - set(fields)
    if missing:
        raise ValueError(f"the configuration lacks {', '.join(sorted(missing))}")
    config = Config(**fields)
    if version < QUANTIZED_VERSION:
        return config, None
    types = configuration.get("weight_dtypes")
    if not isinstance(types, list) or len(types) != config.num_layers:
        raise ValueError(f"weight_dtypes in the metadata must be a list, a type for each layer; got {types!r:.80}")
    for weight_dtype in types:
        if weight_dtype not in ("float32", *WEIGHT_DTYPES, *(["float64"] if version == CHAIN_VERSION else [])):
            raise ValueError(f"weight type {weight_dtype!r:.80} is unknown to this cgru; update cgru")
    return config, types


def _without_surplus_activations(fields):
    """Files of 0.1 have (f, g) for every kind: an RNN's nonlinearity is the g."""
    cell, groups = KINDS.get(str(fields.get("kind"))), fields.get("activations")
    if cell is None or len(cell.functions) > 1 or not isinstance(groups, list):
        return fields
    return fields | {"activations": [group[-1:] if isinstance(group, list) else group for group in groups]}
