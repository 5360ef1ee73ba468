"""A command's y: an array in an .npy, .npz or .csv file, written piece by piece."""

import contextlib
import io
import os
import zipfile

import numpy as np

from cgru.files import whole_file


@contextlib.contextmanager
def writing(path, shape, dtype):
    """A function of arrays that appends their rows to the array of `shape` in a new file.

    The file appears under its name when the block ends without an error. The function's attribute `extra` is a dict of
    further arrays, which an .npz file gets too.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".csv" and len(shape) > 2:
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
