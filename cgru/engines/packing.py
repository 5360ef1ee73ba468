"""Weights into panels (see _panels.pxd), once per model: plain NumPy, and where in memory they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from cgru.quantize import Quantized

LINE = 64                       # bytes of a cache line: panels that straddle lines cost up to twice the time
WORD = 4                        # bytes of the weights that stand together: one of float32, two of 16 bits, four of 8


class Packed(NamedTuple):
    """A matrix in panels.

    Attributes
    ----------
    data : ndarray
        One dimension, of the weights' type: panels (depth, 3 * lanes, weights in a word), one behind the other, and
        what is left over in a last one, 1 or 2 * lanes wide.
    bias : ndarray
        (columns,) float32: rows of the matrix, rounded up to a multiple of lanes.
    scale : ndarray
        (columns,) float32 of int8 weights, else (0,).
    start : ndarray
        (columns,) int32 of int8 weights, else (0,): -128 times the sum of each one's weights, modulo 2^32.
    """

    data: np.ndarray
    bias: np.ndarray
    scale: np.ndarray
    start: np.ndarray


def pack(matrix: np.ndarray | Quantized, bias: np.ndarray, rows: slice, units: int, lanes: int) -> Packed:
    """Panels of some rows of a matrix, and their biases.

    Parameters
    ----------
    matrix : ndarray or Quantized
        (M, K); float32 where it is an array.
    bias : ndarray
        (M,).
    rows : slice
        G * units of them, gate by gate; G may be 0.
    units : int
        Hidden units.
    lanes : int
        Units of a block; in the panels, the G gates of a block are side by side. The gates of the units that are left
        over, fewer than a block, stand without gaps: 4 units of 4 gates take one vector, not four.
    """
    if isinstance(matrix, np.ndarray):
        values, scale = np.asarray(matrix[rows], np.float32), None
    else:
        values, scale = matrix.values[rows], matrix.scale
    order, bias = _order(len(values), units, lanes), np.asarray(bias[rows], np.float32)
    lines = _taken(values, order)
    data = panels(lines, 3 * lanes)
    if scale is None:
        return Packed(data, _taken(bias, order), np.zeros(0, np.float32), np.zeros(0, np.int32))
    return Packed(data, _taken(bias, order), _taken(scale[rows], order), starts(lines))


def _order(count, units, lanes):
    """The row of every output, block by block; -1 for those that only fill the last vector."""
    numbers = np.arange(count).reshape(-1, units)
    left = units % lanes
    whole = numbers[:, : units - left].reshape(len(numbers), units // lanes, lanes).swapaxes(0, 1).ravel()
    rest = numbers[:, units - left :].ravel()
    return np.concatenate((whole, rest, np.full(-len(rest) % lanes, -1)))


def _taken(values, order):
    """`values` in this order; 0 for -1."""
    taken = values[order] if len(values) else np.zeros((len(order), *values.shape[1:]), values.dtype)
    taken[order < 0] = 0
    return taken


def starts(lines: np.ndarray) -> np.ndarray:
    """`Packed.start` of rows of int8 weights."""
    return (-128 * lines.sum(axis=1, dtype=np.int64)).astype(np.int32)


def panels(lines: np.ndarray, width: int) -> np.ndarray:
    """Panels of the rows of a matrix, with their columns in words: one dimension, of the weights' type."""
    group = WORD // lines.itemsize
    depth = -(-lines.shape[1] // group)
    if group == 1:      # without a copy on the way: modules that train pack at every call
        data = np.empty(lines.size, lines.dtype)
        for at in range(0, len(lines), width):
            piece = lines[at : at + width].T
            data[at * depth : at * depth + piece.size].reshape(piece.shape)[...] = piece
        return data
    columns = np.zeros((len(lines), depth * group), lines.dtype)
    columns[:, : lines.shape[1]] = lines
    words = columns.reshape(len(lines), depth, group)
    pieces = [words[at : at + width].swapaxes(0, 1).ravel() for at in range(0, len(words), width)]
    return np.concatenate([np.zeros(0, lines.dtype), *pieces])


def place(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Copies of arrays, one behind the other in one block of memory, each from a cache line on."""
    sizes = [-(-array.nbytes // LINE) * LINE for array in arrays]
    memory = np.zeros(sum(sizes) + LINE, np.uint8)
    placed, begin = [], -memory.ctypes.data % LINE
    for array, size in zip(arrays, sizes, strict=True):
        copy = memory[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        placed.append(copy)
        begin += size
    return placed
