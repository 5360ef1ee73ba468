"""Reading .safetensors files into memory of their own, and their bytes where NumPy lacks a type that is in them.

The library maps them, and a process that reads on where somebody else has cut a mapped file off is killed. What a file
declares is held against its size before memory is spent, and only the tensors that are asked for are read.

The library's NumPy interface writes no bfloat16, and what lies below it is not the same in all of its versions. The
format is short: eight bytes, the length of a JSON header, the header, and the numbers.
"""

import json
import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

_MOST_HEADER = 100_000_000      # bytes; the library's own limit
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


class _Tensor(NamedTuple):
    """Where one lies: bytes `begin` to `end` behind the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class TensorFile:
    """An open .safetensors file; a context manager.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    metadata : dict of str to str
    tensors : dict
        By name, in the order of the file's header.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is no complete .safetensors file.
    """

    metadata: dict[str, str]
    tensors: dict[str, _Tensor]

    def __init__(self, path):
        self._path = path
        self._file = open(path, "rb")  # noqa: SIM115
        try:
            self.metadata, self.tensors = self._header()
        except BaseException as error:
            self._file.close()
            if isinstance(error, (ValueError, TypeError, KeyError, AttributeError, RecursionError)):
                raise ValueError(f"{path} is not a complete safetensors file: {error}") from error
            raise

    def _header(self):
        size = os.fstat(self._file.fileno()).st_size
        length = int.from_bytes(self._file.read(8), "little")
        if size < 8 or length > min(size - 8, _MOST_HEADER):
            raise ValueError(f"it has {size} bytes, and its header would have {length}")
        header = json.loads(self._file.read(length).decode())
        metadata = header.pop("__metadata__", None) or {}
        if not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError("its metadata are not all text")
        self._start = 8 + length
        tensors = {name: _tensor(name, entry) for name, entry in header.items()}
        place = 0
        for name, tensor in sorted(tensors.items(), key=lambda item: item[1][2:]):
            if tensor.begin != place:
                raise ValueError(f"tensor {name} begins at byte {tensor.begin}, expected {place}")
            place = tensor.end
        if self._start + place != size:
            raise ValueError(f"its tensors end at byte {self._start + place}, and it has {size}")
        return metadata, tensors

    def read(self, name: str) -> np.ndarray:
        """The tensor of this name, a new array; bfloat16, which NumPy lacks, becomes float32.

        Raises
        ------
        KeyError
            There is none.
        ValueError
            It has a type that NumPy lacks; the file has been cut off meanwhile.
        """
        tensor = self.tensors[name]
        if tensor.dtype not in _DTYPES:
            raise ValueError(f"{self._path}: tensor {name} has dtype {tensor.dtype}, expected real numbers")
        array = np.empty(tensor.shape, _DTYPES[tensor.dtype])
        self._file.seek(self._start + tensor.begin)
        if array.size and self._file.readinto(array.data.cast("B")) != array.nbytes:
            raise ValueError(f"{self._path} ends too early; was it changed while it was read?")
        if tensor.dtype == "BF16":      # the upper halves of float32 numbers
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()


def _tensor(name: str, entry: Any) -> _Tensor:
    """An entry of the header, its size held against its shape where the type is known."""
    begin, end = entry["data_offsets"]
    tensor = _Tensor(entry["dtype"], tuple(entry["shape"]), begin, end)
    numbers = (*tensor.shape, begin, end)
    if any(type(number) is not int or not 0 <= number < 1 << 63 for number in numbers) or begin > end:
        raise ValueError(f"tensor {name} has shape {tensor.shape} and bytes {begin} to {end}")
    if tensor.dtype in _DTYPES:
        declared = math.prod(tensor.shape) * np.dtype(_DTYPES[tensor.dtype]).itemsize
        if declared != end - begin:
            raise ValueError(f"tensor {name}, {tensor.dtype} {tensor.shape}, takes {declared} bytes, not {end - begin}")
    return tensor


def serialized(tensors: Mapping[str, tuple[str, np.ndarray]], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a .safetensors file.

    Parameters
    ----------
    tensors : dict of str to (str, ndarray)
        By name the type as the format calls it, and the numbers; of BF16 the bits, uint16.
    metadata : dict of str to str
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts, place = [], 0
    for name in sorted(tensors, key=lambda name: (-np.dtype(_DTYPES[tensors[name][0]]).itemsize, name)):   # aligned
        dtype, array = tensors[name]
        parts.append(array.astype(_DTYPES[dtype], copy=False).tobytes())
        header[name] = {
            "dtype": dtype, "shape": list(array.shape), "data_offsets": [place, place + len(parts[-1])]
        }  # fmt: skip
        place += len(parts[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])
