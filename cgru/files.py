"""Model files: safetensors, with the configuration in the metadata.

Parameters stand under PyTorch's names. Quantised matrices (quantize.py) stand there in their own type, BF16 or I8, the
scales of an I8 one, F32, under its name with ".scale" behind it; the metadata then say each layer's weight type.
"""

import contextlib
import dataclasses
import errno
import io
import json
import os
import stat
import sys

import numpy as np
import safetensors.numpy

from cgru.cells import CELLS
from cgru.config import Config
from cgru.quantize import WEIGHT_DTYPES, Quantized
from cgru.tensors import TensorFile, serialized
from cgru.weights import Weights

FORMAT_VERSION = 2      # 1, of cgru 0.1, spelt the configuration's `kind` as "cell"; it is still read
QUANTIZED_VERSION = 3       # the same with quantised matrices, so that a cgru that has none refuses them
_VERSIONS = (1, FORMAT_VERSION, QUANTIZED_VERSION)
_KEY = "cgru"
_STORED = {"float32": "F32", "float64": "F64", "bfloat16": "BF16", "int8": "I8"}     # a type as safetensors calls it


def save(path, weights):
    """Write `weights`, atomically."""
    configuration = {"format": FORMAT_VERSION, "config": dataclasses.asdict(weights.config)}
    if not weights.quantized_layers():
        data = safetensors.numpy.save(weights.tensors, metadata={_KEY: json.dumps(configuration)})
    else:
        configuration |= {"format": QUANTIZED_VERSION, "weight_dtypes": weights.weight_dtypes}
        data = serialized(dict(_parts(weights)), {_KEY: json.dumps(configuration)})
    write_whole(path, data)


def _parts(weights):
    """Yield (name, (type, numbers)) of everything that a file with quantised matrices holds."""
    for name, value in weights.stored.items():
        if not isinstance(value, Quantized):
            yield name, ("F32", value)
            continue
        yield name, (_STORED[value.weight_dtype], value.values)
        if value.scale is not None:
            yield f"{name}.scale", ("F32", value.scale)


def write_whole(path, data):
    """Write bytes to a file, atomically."""
    with whole_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def whole_file(path):
    """A binary file to write to: every output of the package comes from here.

    It gets its name when the block ends and all is on the disk, and is removed when that fails: until then it has a
    temporary name in the same folder, and whatever had the name before stays. A file that is replaced hands on its
    mode. Of a symbolic link it is the target that is replaced, and the link stays. What is no regular file, such as a
    device or a FIFO, and this process's own output are written to as they are.

    Raises
    ------
    OSError
        The file cannot be written; the error names it, as it does where the disk is full.
    """
    path = os.fsdecode(path)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        found = None
    own = None if found is None else _own_output(found)
    if found is not None and (own is not None or not stat.S_ISREG(found.st_mode)):
        with _opened(path, "wb", path, seekable=False, own=own) as file:
            yield file
        return
    if path.endswith((os.sep, os.altsep or os.sep)):
        raise FileNotFoundError(errno.ENOENT, "there is no such folder, and a file needs a name", path)
    target = os.path.realpath(path)
    # The name is known before the file exists, so that whatever interrupts the writing, the file can be removed.
    temporary = f"{target}.{os.urandom(8).hex()}.tmp"
    try:
        with _opened(temporary, "xb", path, mode=0o666 if found is None else 0o600) as file:
            if found is not None and os.name == "posix":    # elsewhere that is no more than whether it is read-only
                os.chmod(temporary, stat.S_IMODE(found.st_mode))
            yield file
            file.flush()
            file.raw.sync()     # a crash soon after the new name would leave it to an empty file
        with _named(path):      # Windows replaces no file that is open or read-only
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def refuse_input(what, path, inputs):
    """Refuse an output that is one of the files that it is made of, by whatever name or link.

    Parameters
    ----------
    what : str
        What the error calls the output.
    path : path
    inputs : dict of str to path
        What the error calls each input, and the input.

    Raises
    ------
    ValueError
    """
    for name, other in inputs.items():
        if os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other):
            raise ValueError(f"{what} {path} is the same file as {name} {other}, which is read; give it another name")


@contextlib.contextmanager
def _named(path):
    """Errors name the file that the user asked for."""
    try:
        yield
    except OSError as error:
        error.filename = path
        del error.filename2
        raise


class _Output(io.FileIO):
    """An opened file whose errors name the file that the user asked for."""

    def __init__(self, path, how, shown, seekable, mode, own):
        self._shown, self._seekable = shown, seekable

        def opener(name, flags):
            return os.open(name, flags, mode) if own is None else os.dup(own)

        with _named(shown):
            super().__init__(path, how, opener=opener)

    def write(self, data):
        with _named(self._shown):
            return super().write(data)

    def sync(self):
        """Wait until what was written is on the disk, where the file system can say so."""
        with _named(self._shown):
            try:
                os.fsync(self.fileno())
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
                    raise

    def close(self):
        with _named(self._shown):
            super().close()

    def seekable(self):
        return self._seekable

    def seek(self, *place):
        if not self._seekable:
            raise io.UnsupportedOperation("seek")
        return super().seek(*place)

    def tell(self):
        if not self._seekable:      # a null device says that it is at 0 for ever, and zipfile believes it
            raise io.UnsupportedOperation("tell")
        return super().tell()


def _opened(path, how, shown, *, seekable=True, mode=0o666, own=None):
    return io.BufferedWriter(_Output(path, how, shown, seekable, mode, own), 1 << 17)


def _own_output(found):
    """The descriptor, 1 or 2, with which this process prints to a file, as it does to /dev/stdout; or None."""
    if not found.st_ino:        # Windows: devices and pipes have no numbers, so all would be the same
        return None
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        with contextlib.suppress(OSError):
            if os.path.samestat(found, os.fstat(number)):
                stream.flush()
                return number
    return None


def load(path):
    """Read `Weights` from a file of `save`.

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
        metadata = file.metadata
        types = {name: tensor.dtype for name, tensor in file.tensors.items()}
        tensors = {name: file.read(name) for name in file.tensors}
    if _KEY not in metadata:
        raise ValueError(
            f"{path} has no cgru configuration in its metadata; for PyTorch's weights use GRU.from_state_dict"
        )
    try:
        config, weight_dtypes = _read_config(metadata[_KEY])
        if weight_dtypes is not None:
            return Weights(config, _quantized(config, weight_dtypes, tensors, types))
        weights = Weights(config, tensors)
        for name, array in tensors.items():     # a file of cgru needs no conversion
            if types[name] != _STORED[str(weights.dtype)]:
                found = "bfloat16" if types[name] == _STORED["bfloat16"] else array.dtype
                raise ValueError(f"{name} has dtype {found}, expected that of the model, {weights.dtype}")
        return weights
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


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


def _read_config(text):
    """Configuration and weight types of the layers; None for the latter where nothing is quantised."""
    try:
        configuration = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its cgru metadata is not JSON: {error}") from error
    version = configuration.get("format") if isinstance(configuration, dict) else None
    if version not in _VERSIONS:
        raise ValueError(
            f"format version {version!r} is unknown to this cgru, which reads versions {_VERSIONS[0]} to "
            f"{_VERSIONS[-1]}; update cgru"
        )
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
    if version != QUANTIZED_VERSION:
        return config, None
    types = configuration.get("weight_dtypes")
    if not isinstance(types, list) or len(types) != config.num_layers:
        raise ValueError(f"weight_dtypes in the metadata must be a list, a type for each layer; got {types!r:.80}")
    for weight_dtype in types:
        if weight_dtype not in ("float32", *WEIGHT_DTYPES):
            raise ValueError(f"weight type {weight_dtype!r:.80} is unknown to this cgru; update cgru")
    return config, types


def _without_surplus_activations(fields):
    """Files of 0.1 have (f, g) for every kind: an RNN's nonlinearity is the g."""
    cell, groups = CELLS.get(str(fields.get("kind"))), fields.get("activations")
    if cell is None or len(cell.functions) > 1 or not isinstance(groups, list):
        return fields
    return fields | {"activations": [group[-1:] if isinstance(group, list) else group for group in groups]}
