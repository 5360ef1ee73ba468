"""Arrays in .npy, .npz and .csv files, read piece by piece.

A `Source` is a stack of rows of features, taken from the first to the last; what the axes before the features mean is
the caller's business. Files are read, never mapped: somebody else may cut them off meanwhile.
"""

import math
import os
import zipfile

import numpy as np

from cgru.convert.untrusted.files import check_expansion, file_size, read_npy_header

SUFFIXES = (".npy", ".npz", ".csv")
RAW = (".raw", ".f32", ".bin")
_SKIPPED = 16 << 20      # bytes at a time


class Source:
    """An array of `shape` and `dtype` in a file; a context manager."""

    def __init__(self, path, shape, dtype):
        if len(shape) == 0 or dtype.kind not in "fiub":
            raise ValueError(f"{path} holds {dtype} of shape {shape}, expected an array of real numbers")
        self.path, self.shape, self.dtype = path, shape, dtype

    def take(self, rows):
        """The next `rows` rows, (rows, features)."""
        raise NotImplementedError

    def skip(self, rows):
        """Pass over the next `rows` rows."""
        most = max(1, _SKIPPED // (max(1, self.shape[-1]) * self.dtype.itemsize))
        for start in range(0, rows, most):
            self.take(min(most, rows - start))

    def whole(self):
        """All of it."""
        return self.take(int(np.prod(self.shape[:-1], dtype=object))).reshape(self.shape)

    def close(self):
        """Close the file."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class _Npy(Source):
    def __init__(self, path):
        self._file = open(path, "rb")  # noqa: SIM115
        try:
            shape, self._fortran, dtype = read_npy_header(path, self._file, file_size(path))
            super().__init__(path, shape, dtype)
        except BaseException:
            self._file.close()
            raise
        self._whole = None

    def take(self, rows):
        features = self.shape[-1]
        if not self._fortran:
            return read_into(self._file, np.empty((rows, features), self.dtype), self.path)
        if self._whole is None:     # pieces are not together in the file
            stored = read_into(self._file, np.empty(self.shape[::-1], self.dtype), self.path)
            self._whole = stored.T.reshape(-1, features)
        piece, self._whole = self._whole[:rows], self._whole[rows:]
        return piece

    def close(self):
        self._file.close()


def read_into(file, array, path):
    """Fill a contiguous array with the next bytes of a binary file.

    Raises
    ------
    ValueError
        The file ends before.
    """
    if array.size:
        room = memoryview(array.reshape(-1).view(np.uint8))
        while len(room):
            count = file.readinto(room)
            if not count:
                raise ValueError(f"{path} ends too early; was it changed while it was read?")
            room = room[count:]
    return array


class _Npz(Source):
    """Decompresses as it goes.

    A piece that is taken may be large only where the file is: see `check_expansion`. Small pieces of a file that
    expands to any size are nobody's trouble.
    """

    def __init__(self, path, key, option):
        self._stored = file_size(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise ValueError(f"{path} is not a complete .npz file: {error}") from error
        names = [name.removesuffix(".npy") for name in self._archive.namelist() if name.endswith(".npy")]
        try:
            if key is None and len(names) != 1:
                raise ValueError(f"{path} holds {len(names)} arrays: {', '.join(names)}; {_how(option)}")
            if key is not None and key not in names:
                raise ValueError(f"{path} holds no array {key!r}; it holds {', '.join(names)}")
            member = f"{key or names[0]}.npy"
            self._file = self._open(path, member)
            size = self._archive.getinfo(member).file_size
            shape, fortran, dtype = read_npy_header(path, self._file, size)
            super().__init__(path, shape, dtype)
            if fortran and len(shape) > 1:
                raise ValueError(f"{path}: {member} is in Fortran order; save numpy.ascontiguousarray of it")
        except BaseException:
            self._archive.close()
            raise

    def _open(self, path, member):
        try:
            return self._archive.open(member)
        except Exception as error:      # encrypted, an unknown compression, a broken header
            raise ValueError(f"{path}: {member} cannot be read: {error}") from error

    def take(self, rows):
        size = rows * self.shape[-1] * self.dtype.itemsize
        check_expansion(self.path, size, self._stored)
        try:
            data = self._file.read(size)
        except Exception as error:      # zlib, lzma, bz2 and zipfile have their own
            raise ValueError(f"{self.path} is damaged: {error}") from error
        if len(data) != size:
            raise ValueError(f"{self.path} ends too early")
        return np.frombuffer(data, self.dtype).reshape(rows, self.shape[-1])

    def close(self):
        self._file.close()
        self._archive.close()


def _how(option):
    return f"choose one with {option}" if option else "expected one"


class _Csv(Source):
    """Lines of numbers; a first line of names is passed over."""

    def __init__(self, path):
        self._file = open(path, encoding="utf-8-sig")  # noqa: SIM115
        try:
            first = self._file.readline()
            features = first.count(",") + 1 if first.strip() else 0
            named = features > 0 and not _is_numbers(first)
            lines = sum(1 for line in self._file if line.strip()) + (features > 0 and not named)
            self._file.seek(0)
            self._number = int(named)       # of the line that was read last
            if named:
                self._file.readline()
        except UnicodeDecodeError as error:
            self._file.close()
            raise ValueError(f"{path} is not a text file: {error}") from error
        super().__init__(path, (lines, features), np.dtype(np.float64))

    def take(self, rows):
        out = np.empty((rows, self.shape[1]))
        found = 0
        while found < rows:
            line = self._file.readline()
            self._number += 1
            if not line:
                raise ValueError(f"{self.path} ends too early; was it changed while it was read?")
            if not line.strip():
                continue
            try:
                out[found] = [float(cell) for cell in line.split(",")]
            except ValueError as error:
                raise ValueError(
                    f"{self.path}, line {self._number}: expected {self.shape[1]} numbers between commas; {error}"
                ) from None
            found += 1
        return out

    def close(self):
        self._file.close()


def _is_numbers(line):
    try:
        return [float(cell) for cell in line.split(",")] != []
    except ValueError:
        return False


def open_source(path, key=None, option=None):
    """The `Source` in a file; `key` names an array of an .npz file that holds several, and `option` asks for it.

    Raises
    ------
    OSError, ValueError
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    if key is not None and suffix != ".npz":
        raise ValueError(f"--key {key} is for .npz files; {path} holds one array")
    file_size(path)
    return _Npz(path, key, option) if suffix == ".npz" else _Npy(path) if suffix == ".npy" else _Csv(path)


def read_whole(path, shape=None):
    """The whole array in a file, of a shape that is known before it is read.

    Parameters
    ----------
    path : str
        Also one of `RAW`: the numbers alone, float32 in this machine's order of bytes, as C's fwrite leaves them.
    shape : tuple, optional
        Where None leaves a size open; of a raw file at most one is.
    """
    if is_raw(path):
        return _raw(path, shape)
    with open_source(path) as source:
        return np.array(source.whole())


def is_raw(path):
    """Whether a file's name is that of one of numbers alone."""
    return os.path.splitext(path)[1].lower() in RAW


def _raw(path, shape):
    size, each = file_size(path), 4 * math.prod(length for length in shape if length is not None)
    whole = each and size % each == 0 if None in shape else size == each
    if not whole:
        expected = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{path} has {size} bytes, which is no array of float32 of shape ({expected})")
    shape = tuple(size // each if length is None else length for length in shape)
    with open(path, "rb") as file:
        return read_into(file, np.empty(shape, np.float32), path)
