"""Zip archives, .npy, .npz and .safetensors: declared sizes are compared with what is there before memory is spent."""

import io
import math
import os
import zipfile
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

import numpy as np

from cgru.tensors import TensorFile

#: Declared sizes up to this many bytes are always accepted; above it, a file may expand RATIO times at most.
SMALL = 64 << 20
RATIO = 8

Keep = Callable[[str], object]


def check_expansion(what: str, declared: int, stored: int) -> None:
    """Refuse `declared` bytes that come out of only `stored` bytes of a file.

    Raises
    ------
    ValueError
        More than 64 MiB, and more than 8 times what the file holds: a decompression bomb or a broken header.
    """
    if declared > SMALL and declared > RATIO * stored:
        raise ValueError(
            f"{what} declares {declared} bytes, but the file holds {stored} for them: "
            "the file is broken or a decompression bomb, and is not read"
        )


def file_size(path: str) -> int:
    """Bytes of a regular file.

    Raises
    ------
    OSError
        There is no such file, or it is a directory or a device.
    """
    if not os.path.isfile(path):
        os.stat(path)      # FileNotFoundError, PermissionError
        kind = IsADirectoryError if os.path.isdir(path) else OSError
        raise kind(f"{path} is not a regular file")
    with open(path, "rb") as file:      # PermissionError now, rather than from a library in its own words
        return file.seek(0, os.SEEK_END)


def check_zip(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse an archive of `size` bytes whose members would expand to much more, one by one or together."""
    members = archive.infolist()
    check_expansion("the archive", sum(member.file_size for member in members), size)
    if any(member.flag_bits & 1 for member in members):
        raise ValueError("the archive is encrypted")


def open_zip(path: str) -> zipfile.ZipFile:
    """A ZipFile whose declared sizes have been checked.

    Raises
    ------
    OSError, ValueError
    """
    size = file_size(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is not a complete zip archive: {error}") from error
    try:
        check_zip(archive, size)
    except BaseException:
        archive.close()
        raise
    return archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Bytes of one member of a checked archive.

    Raises
    ------
    ValueError
        There is no such member, it is damaged, or it is of another size than declared.
    """
    try:
        declared = archive.getinfo(name).file_size
        with archive.open(name) as member:
            data = member.read(declared + 1)
    except KeyError:
        held = ", ".join(archive.namelist())
        raise ValueError(f"the archive has no member {name}; it holds {held}") from None
    except Exception as error:      # zlib, lzma, bz2, struct and zipfile all have their own
        raise ValueError(f"member {name} of the archive is damaged: {error}") from error
    if len(data) != declared:
        raise ValueError(f"member {name} of the archive has {len(data)} bytes, {declared} are declared")
    return data


class NpyHeader(NamedTuple):
    """What an .npy file says of its array; `dtype` is of numbers only where ``dtype.kind in "fiub"``."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy_header(what: str, stream: BinaryIO, size: int) -> NpyHeader:
    """The header of an .npy file of `size` bytes; the stream then stands at the first number.

    Raises
    ------
    ValueError
        It is no .npy file, or it declares numbers that take more bytes, or fewer, than there are.
    """
    try:
        shape, fortran, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
        header = NpyHeader(tuple(map(int, shape)), fortran, dtype)      # NumPy takes True for a length, and then not
        declared = math.prod(header.shape) * header.dtype.itemsize
        left = size - stream.tell()
    except Exception as error:      # the header is a Python literal: SyntaxError, TypeError, KeyError, ...
        raise ValueError(f"{what} is not a NumPy array: {error}") from error
    is_numbers = header.dtype.kind in "fiub"      # other arrays, such as pickled objects, are as long as they are
    if min(header.shape, default=0) < 0 or (is_numbers and declared != left):
        raise ValueError(f"{what} declares shape {header.shape} of {header.dtype}, {declared} bytes, but holds {left}")
    if declared == 0 and math.prod(max(1, length) for length in header.shape) > SMALL:
        raise ValueError(f"{what} declares shape {header.shape}: without numbers no other size may be so large")
    return header


def read_npz(path: str, keep: Keep = lambda name: True) -> dict[str, np.ndarray]:
    """The arrays of numbers in an .npz file whose names `keep` accepts; others, such as pickled objects, are left out.

    Raises
    ------
    OSError, ValueError
    """
    arrays = {}
    with open_zip(path) as archive:
        for member in archive.namelist():
            name = member.removesuffix(".npy")
            array = _npy(f"{path}, member {member}", read_member(archive, member)) if keep(name) else None
            if array is not None:
                arrays[name] = array
    return arrays


def _npy(what, data):
    """The array in an .npy file's bytes, without a copy; None where it holds no numbers."""
    stream = io.BytesIO(data)
    shape, fortran, dtype = read_npy_header(what, stream, len(data))
    if dtype.kind not in "fiub":
        return None
    count = math.prod(shape)
    array = np.frombuffer(data, dtype, count, stream.tell()) if count else np.empty(shape, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def read_safetensors(path: str, keep: Keep = lambda name: True) -> dict[str, np.ndarray]:
    """The tensors in a .safetensors file whose names `keep` accepts; bfloat16 becomes float32.

    Raises
    ------
    OSError, ValueError
    """
    file_size(path)
    with TensorFile(path) as file:
        return {name: file.read(name) for name in file.tensors if keep(name)}


def is_safetensors(path: str) -> bool:
    """Whether a file begins as a .safetensors file does: the header's length in eight bytes, then JSON."""
    file_size(path)
    with open(path, "rb") as file:
        return file.read(9)[8:] == b"{"


def safetensors_metadata(path: str) -> dict[str, str]:
    """The metadata of a .safetensors file.

    Raises
    ------
    OSError, ValueError
    """
    file_size(path)
    with TensorFile(path) as file:
        return file.metadata


def array_names(path: str) -> list[str]:
    """The names of the arrays in a .safetensors or .npz file.

    Raises
    ------
    OSError, ValueError
    """
    if path.lower().endswith(".npz"):
        with open_zip(path) as archive:
            return [member.removesuffix(".npy") for member in archive.namelist()]
    file_size(path)
    with TensorFile(path) as file:
        return list(file.tensors)


def read_arrays(path: str, keep: Keep = lambda name: True) -> dict[str, np.ndarray]:
    """The arrays in a .safetensors or .npz file, by its name, whose names `keep` accepts.

    Raises
    ------
    OSError, ValueError
    """
    suffix = os.path.splitext(path)[1].lower()
    file_size(path)
    if suffix not in (".safetensors", ".npz"):
        raise ValueError(f"{path}: expected a .safetensors or .npz file")
    return read_npz(path, keep) if suffix == ".npz" else read_safetensors(path, keep)
