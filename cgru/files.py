"""Model files: safetensors, with the configuration in the metadata."""

import contextlib
import dataclasses
import json
import os
import secrets

import safetensors
import safetensors.numpy

from cgru.config import Config
from cgru.weights import Weights

FORMAT_VERSION = 2      # 1, of cgru 0.1, spelt the configuration's `kind` as "cell"; it is still read
_KEY = "cgru"


def save(path, weights):
    """Write `weights`, atomically."""
    configuration = {"format": FORMAT_VERSION, "config": dataclasses.asdict(weights.config)}
    data = safetensors.numpy.save(weights.tensors, metadata={_KEY: json.dumps(configuration)})
    write_whole(path, data)


def write_whole(path, data):
    """Write bytes to a file, atomically."""
    with whole_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def whole_file(path):
    """A binary file to write to, atomically: it gets its name when the block ends, and is removed when that fails.

    Until then it has a temporary name in the same folder, and whatever had the name before stays.
    """
    path = os.fsdecode(path)
    # The name is known before the file exists, so that whatever interrupts the writing, the file can be removed.
    temporary = f"{path}.{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def load(path):
    """Read `Weights` from a file of `save`.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is truncated, no safetensors file, of an unknown format version, or its tensors do not fit its
        configuration.
    """
    path = os.fsdecode(path)
    with open(path, "rb"):      # an OSError that says what is wrong, before safetensors maps the file
        pass
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, TypeError, OSError) as error:
        raise ValueError(f"{path} is not a complete safetensors file: {error}") from error
    if _KEY not in metadata:
        raise ValueError(
            f"{path} has no cgru configuration in its metadata; for PyTorch's weights use GRU.from_state_dict"
        )
    try:
        weights = Weights(_read_config(metadata[_KEY]), tensors)
        for name, array in tensors.items():     # a file of cgru needs no conversion
            if array.dtype != weights.dtype:
                raise ValueError(f"{name} has dtype {array.dtype}, expected that of the model, {weights.dtype}")
        return weights
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _read_config(text):
    try:
        configuration = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its cgru metadata is not JSON: {error}") from error
    version = configuration.get("format") if isinstance(configuration, dict) else None
    if version not in (1, FORMAT_VERSION):
        raise ValueError(
            f"format version {version!r} is unknown to this cgru, which reads versions 1 and {FORMAT_VERSION}; "
            "update cgru"
        )
    fields = configuration.get("config")
    if not isinstance(fields, dict):
        raise ValueError("the metadata holds no configuration")
    if version == 1 and "cell" in fields:
        fields = {"kind" if name == "cell" else name: value for name, value in fields.items()}
    unknown = set(fields) - set(Config.__dataclass_fields__)
    if unknown:
        raise ValueError(f"unknown configuration entries: {', '.join(sorted(unknown))}; update cgru")
    missing = {"input_size", "hidden_size"} - set(fields)
    if missing:
        raise ValueError(f"the configuration lacks {', '.join(sorted(missing))}")
    return Config(**fields)
