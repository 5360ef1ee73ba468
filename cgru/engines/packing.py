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
        Units of a block; in the panels, the G gates of a block are side by side.
    weight_type : str
        A key of `TYPES`.

    Returns
    -------
    panels : ndarray
        One dimension, of the weight type: panels (K, 3 * lanes), one behind the other, and what is left over in a last
        one, (K, lanes) or (K, 2 * lanes).
    biases : ndarray
        (G * blocks * lanes,) float32.
    """
    width = 3 * lanes
    gates, columns = matrix.shape[0] // units, matrix.shape[1]
    blocks = -(-units // lanes)
    padded = np.zeros((gates, blocks * lanes, columns + 1), np.float32)     # the biases as one more column
    padded[:, :units, :columns] = matrix.reshape(gates, units, columns)
    padded[:, :units, columns] = bias.reshape(gates, units)
    lines = padded.reshape(gates, blocks, lanes, columns + 1).swapaxes(0, 1).reshape(-1, columns + 1)
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
