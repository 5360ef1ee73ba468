"""Foreign files, read with distrust: declared sizes are compared with what is there before memory is spent."""

import io
import json
import os
import zipfile

import numpy as np

#: Declared sizes up to this many bytes are always accepted; above it, a file may expand RATIO times at most.
SMALL = 64 << 20
RATIO = 8


def check_expansion(what, declared, stored):
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


def file_size(path):
    """Bytes of a regular file.

    Raises
    ------
    OSError
        There is no such file, or it is a directory or a device.
    """
    if not os.path.isfile(path):
        os.stat(path)      # FileNotFoundError, PermissionError
        raise OSError(f"{path} is not a regular file")
    with open(path, "rb") as file:      # PermissionError now, rather than from a library in its own words
        return file.seek(0, os.SEEK_END)


def check_zip(archive, size):
    """Refuse an archive of `size` bytes whose members would expand to much more, one by one or together."""
    members = archive.infolist()
    check_expansion("the archive", sum(member.file_size for member in members), size)
    if any(member.flag_bits & 1 for member in members):
        raise ValueError("the archive is encrypted")


def open_zip(path):
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


def read_member(archive, name):
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


def read_npz(path):
    """The arrays of numbers in an .npz file, as a dict; others, such as object arrays (pickles), are left out.

    Raises
    ------
    OSError, ValueError
    """
    arrays = {}
    with open_zip(path) as archive:
        for name in archive.namelist():
            array = _npy(f"{path}, member {name}", read_member(archive, name))
            if array is not None:
                arrays[name.removesuffix(".npy")] = array
    return arrays


def _npy(what, data):
    """The array in an .npy file's bytes, without a copy; None where it holds no numbers."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = header[version](stream)
        count = 1
        for size in shape:      # Python's integers: no overflow
            count *= int(size)
    except Exception as error:      # the header is a Python literal: SyntaxError, TypeError, KeyError, ...
        raise ValueError(f"{what} is not a NumPy array: {error}") from error
    left = len(data) - stream.tell()
    if dtype.kind not in "fiub":
        return None
    if any(size < 0 for size in shape) or count * dtype.itemsize != left:
        raise ValueError(f"{what} declares shape {shape} of {dtype}, but has {left} bytes")
    array = np.frombuffer(data, dtype, count, stream.tell()) if left else np.empty(shape, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def read_safetensors(path, keep=lambda name: True):
    """The tensors of a .safetensors file whose names `keep` accepts, as a dict; bfloat16 becomes float32.

    Raises
    ------
    OSError, ValueError
    """
    import safetensors

    size = file_size(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names = [name for name in file.keys() if keep(name)]  # noqa: SIM118
            half = [name for name in names if file.get_slice(name).get_dtype() == "BF16"]
            arrays = {name: file.get_tensor(name) for name in names if name not in half}
        arrays = {name: array for name, array in arrays.items() if array.dtype.kind in "fiub"}
        return arrays | _bfloat16(path, size, half)
    except (safetensors.SafetensorError, ValueError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"{path} is not a complete safetensors file of numbers: {error}") from error


def _bfloat16(path, size, names):
    """Tensors that NumPy has no dtype for: the upper halves of float32 numbers."""
    if not names:
        return {}
    arrays = {}
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(length, size)))
        for name in names:
            begin, end = header[name]["data_offsets"]
            file.seek(8 + length + begin)
            halves = np.frombuffer(file.read(end - begin), "<u2").astype(np.uint32)
            arrays[name] = (halves << 16).view(np.float32).reshape(header[name]["shape"])
    return arrays


def read_arrays(path):
    """A dict of arrays from a .safetensors or .npz file, by its name.

    Raises
    ------
    OSError, ValueError
    """
    path = os.fspath(path)
    file_size(path)
    if path.endswith(".npz"):
        return read_npz(path)
    if path.endswith(".safetensors"):
        return read_safetensors(path)
    raise ValueError(f"{path}: expected a .safetensors or .npz file")
