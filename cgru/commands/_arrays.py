"""A command's x, initial state and y: arrays in .npy, .npz and .csv files, read and written piece by piece.

A `Source` is a stack of rows of features, taken from the first to the last; what the axes before the features mean is
the caller's business. `writing` takes rows in the same order.
"""

import argparse
import contextlib
import io
import os
import zipfile

import numpy as np

from cgru.convert.untrusted.files import file_size, read_npy_header
from cgru.files import whole_file

SUFFIXES = (".npy", ".npz", ".csv")


def add_input_options(parser):
    """Declare the input and how to read it."""
    parser.add_argument(
        "input", metavar="INPUT",
        help="x (T, I), (T, N, I), or (N, T, I) with a batch-first model: .npy, .npz, or .csv with a step per line",
    )  # fmt: skip
    parser.add_argument("--key", metavar="NAME", help="which array of an .npz INPUT that holds several")
    parser.add_argument("--h0", metavar="FILE", help="initial state (layers * directions, N, H): .npy or .npz")
    parser.add_argument(
        "--batch-first", default=None, action=argparse.BooleanOptionalAction,
        help="read a three-dimensional INPUT as (N, T, I), or as (T, N, I); default as the model says",
    )  # fmt: skip


def initial_state(args, model, source):
    """What --h0 holds, of the right shape, or None; the input's shape is checked on the way."""
    config, shape = model.config, source.shape
    if len(shape) not in (2, 3) or shape[-1] != config.input_size:
        layout = "(N, T, I)" if config.batch_first else "(T, N, I)"
        raise ValueError(
            f"{source.path} has shape {shape}, this model expects (T, I) or {layout} with I={config.input_size}"
        )
    if args.h0 is None:
        return None
    hx = read_whole(args.h0)
    batch = () if len(shape) == 2 else (shape[0 if config.batch_first else 1],)
    expected = (config.num_layers * config.num_directions, *batch, config.hidden_size)
    if hx.shape != expected:
        raise ValueError(f"--h0 {args.h0} has shape {hx.shape}, expected {expected}")
    return hx.astype(model.dtype)


# ---- reading


class Source:
    """An array of `shape` and `dtype` in a file; a context manager."""

    def __init__(self, path, shape, dtype):
        if len(shape) == 0 or dtype.kind not in "fiub":
            raise ValueError(f"{path} holds {dtype} of shape {shape}, expected an array of real numbers")
        self.path, self.shape, self.dtype = path, shape, dtype

    def take(self, rows):
        """The next `rows` rows, (rows, features)."""
        raise NotImplementedError

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
    """Maps one piece at a time, so that neither address space nor resident memory grows with the file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            shape, self._fortran, dtype = read_npy_header(path, file, file_size(path))
            self._offset = file.tell()
        super().__init__(path, shape, dtype)
        self._whole = None

    def take(self, rows):
        features = self.shape[-1]
        if self._fortran:      # pieces are not together in the file
            if self._whole is None:
                self._whole = np.load(self.path, allow_pickle=False).reshape(-1, features)
            piece, self._whole = self._whole[:rows], self._whole[rows:]
            return piece
        if rows * features == 0:
            return np.empty((rows, features), self.dtype)
        piece = np.memmap(self.path, self.dtype, "r", self._offset, (rows, features))
        self._offset += piece.nbytes
        return piece.view(np.ndarray)


class _Npz(Source):
    """Decompresses as it goes."""

    def __init__(self, path, key):
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise ValueError(f"{path} is not a complete .npz file: {error}") from error
        names = [name.removesuffix(".npy") for name in self._archive.namelist() if name.endswith(".npy")]
        try:
            if key is None and len(names) != 1:
                raise ValueError(f"{path} holds {len(names)} arrays: {', '.join(names)}; choose one with --key")
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


def open_source(path, key=None):
    """The `Source` in a file; `key` names an array of an .npz file that holds several.

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
    return _Npz(path, key) if suffix == ".npz" else _Npy(path) if suffix == ".npy" else _Csv(path)


def read_whole(path, key=None):
    """The whole array in a file."""
    with open_source(path, key) as source:
        return np.array(source.whole())


# ---- writing


@contextlib.contextmanager
def writing(path, shape, dtype):
    """A function of arrays that appends their rows to the array of `shape` in a new file.

    The file appears under its name when the block ends without an error. The function's attribute `extra` is a dict of
    further arrays, which an .npz file gets too.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".csv" and len(shape) != 2:
        raise ValueError(f"{path}: a .csv file holds one sequence (T, features), and y is {shape}; write .npy or .npz")
    with whole_file(path) as file:
        if suffix == ".npz":
            yield from _npz(file, shape, dtype)
        elif suffix == ".npy":
            file.write(_npy_header(shape, dtype))
            yield _Append(lambda rows: file.write(np.ascontiguousarray(rows).data))
        else:
            text = io.TextIOWrapper(file, encoding="ascii", newline="\n", write_through=True)
            digits = f"%.{9 if dtype.itemsize == 4 else 17}g"
            yield _Append(lambda rows: np.savetxt(text, rows.reshape(-1, shape[-1]), digits, ","))
            text.detach()


class _Append:
    def __init__(self, function):
        self._function, self.extra = function, {}

    def __call__(self, rows):
        if rows.size:
            self._function(rows)


def _npz(file, shape, dtype):
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open("y.npy", "w", force_zip64=True) as member:
            member.write(_npy_header(shape, dtype))
            append = _Append(lambda rows: member.write(np.ascontiguousarray(rows).data))
            yield append
        for name, array in append.extra.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def _npy_header(shape, dtype):
    header = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()
