"""Weights into panels (see _panels.pxd), once per model: plain NumPy, and where in memory they lie."""

import numpy as np

LINE = 64                       # bytes of a cache line: panels that straddle lines cost up to twice the time

#: weight type -> a panel (K, width) of it from one of float32
TYPES = {"float32": lambda panels: panels}


def pack(matrix, bias, units, lanes, weight_type="float32"):
    """Panels of a (G * units, K) matrix, and their biases.

    Parameters
    ----------
    matrix, bias : ndarray
        (G * units, K), (G * units,): the rows of G gates, gate by gate. G may be 0.
    units : int
        Hidden units.
    lanes : int
        Units of a block; in the panels, the G gates of a block are side by side. The gates of the units that are left
        over, fewer than a block, stand without gaps: 4 units of 4 gates take one vector, not four.
    weight_type : str
        A key of `TYPES`.

    Returns
    -------
    panels : ndarray
        One dimension, of the weight type: panels (K, 3 * lanes), one behind the other, and what is left over in a last
        one, (K, lanes) or (K, 2 * lanes).
    biases : ndarray
        (columns,) float32: G * units, rounded up to a multiple of lanes.
    """
    width = 3 * lanes
    gates, columns = matrix.shape[0] // units, matrix.shape[1]
    whole, left = divmod(units, lanes)
    rows = np.concatenate((matrix, bias[:, None]), axis=1, dtype=np.float32)    # the biases as one more column
    rows = rows.reshape(gates, units, columns + 1)
    blocks = rows[:, : units - left].reshape(gates, whole, lanes, columns + 1).swapaxes(0, 1).reshape(-1, columns + 1)
    rest = rows[:, units - left :].reshape(-1, columns + 1)
    gap = np.zeros((-len(rest) % lanes, columns + 1), np.float32)
    lines = np.concatenate((blocks, rest, gap))
    pieces = [TYPES[weight_type](lines[at : at + width, :columns].T).ravel() for at in range(0, len(lines), width)]
    return np.concatenate([np.zeros(0, np.float32), *pieces]), np.ascontiguousarray(lines[:, columns])


def place(arrays):
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
