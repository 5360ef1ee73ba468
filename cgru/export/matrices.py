"""Matrices of weights as the exported text has them: panels of columns, in words of four bytes."""

from typing import NamedTuple

import numpy as np

from cgru.engines.packing import panels, starts
from cgru.quantize import Quantized

_MOST = 128             # columns of a panel (source/products.c)
_TYPES = {"float32": "float", "bfloat16": "uint32_t", "int8": "signed char"}


class Matrix(NamedTuple):
    """A matrix (M, K) with its biases, its rows as columns of panels.

    Attributes
    ----------
    weight_dtype : str
        "float32", "bfloat16" or "int8".
    K : int
        Features that it takes.
    columns : int
        Of all panels: M, rounded up; what is beyond has weights and biases of 0.
    data : ndarray
        One dimension: float32, uint32 (two bfloat16 numbers) or int8, panel by panel.
    bias : ndarray
        (columns,) float32.
    scale, start : ndarray or None
        Of int8: (columns,) float32, what a row is multiplied by, and int32, -128 times the sum of its weights.
    """

    weight_dtype: str
    K: int
    columns: int
    data: np.ndarray
    bias: np.ndarray
    scale: np.ndarray | None = None
    start: np.ndarray | None = None

    @property
    def c_type(self) -> str:
        """Type of the data in C."""
        return _TYPES[self.weight_dtype]

    @property
    def nbytes(self) -> int:
        """Bytes of its constants."""
        return sum(array.nbytes for array in (self.data, self.bias, self.scale, self.start) if array is not None)


def matrix_of(weights: np.ndarray | Quantized, bias: np.ndarray | None, rows: slice) -> Matrix:
    """Some rows of a matrix with their biases; no bias is 0."""
    if isinstance(weights, Quantized):
        values, weight_dtype, scale = weights.values[rows], weights.weight_dtype, weights.scale
    else:
        values, weight_dtype, scale = weights[rows], "float32", None
    count, K = values.shape
    columns = _up(count, _unit(count, weight_dtype))

    def padded(array):
        out = np.zeros((columns, *array.shape[1:]), array.dtype)
        out[:count] = array
        return out

    lines = padded(values)
    data = panels(lines, part(columns, _MOST))
    if data.dtype == np.uint16:         # two as one number: that of the even column below
        data = data.astype("<u2").view("<u4").astype(np.uint32)
    biases = padded(np.zeros(count, np.float32) if bias is None else np.asarray(bias[rows], np.float32))
    if scale is None:
        return Matrix(weight_dtype, K, columns, data, biases)
    return Matrix(weight_dtype, K, columns, data, biases, padded(scale[rows]), starts(lines))


def _unit(count, weight_dtype):
    """Columns are a multiple of this: of int8, vectors are spelled."""
    return 16 if weight_dtype == "int8" else 8 if count > 4 else 4


def part(whole: int, most: int) -> int:
    """`cgru_part` of source/head.c."""
    parts = _up(whole, most) // most
    return _up(_up(whole, parts) // parts, 16)


def _up(number, unit):
    """The next multiple of `unit`."""
    return -(-number // unit) * unit
