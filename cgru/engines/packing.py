"""Weights into panels (see _panels.pxd), once per model: plain NumPy, and where in memory they lie."""

import numpy as np

LINE = 64                       # bytes of a cache line: panels that straddle lines cost up to twice the time


def pack(matrix, bias, units, lanes):
    """Panels of a (G * H, K) matrix and a (G * H,) bias: G gates side by side in each block of `lanes` units.

    Returns (count, K, 3 * lanes) and (count, 3 * lanes) float32 arrays, padded with zeros.
    """
    width = 3 * lanes
    gates, columns = matrix.shape[0] // units, matrix.shape[1]
    blocks = -(-units // lanes)
    padded = np.zeros((gates, blocks * lanes, columns + 1), np.float32)
    padded[:, :units, :columns] = matrix.reshape(gates, units, columns)
    padded[:, :units, columns] = bias.reshape(gates, units)
    lines = padded.reshape(gates, blocks, lanes, columns + 1).swapaxes(0, 1).reshape(-1, columns + 1)
    count = -(-len(lines) // width)
    full = np.zeros((count * width, columns + 1), np.float32)
    full[: len(lines)] = lines
    panels = full.reshape(count, width, columns + 1).swapaxes(1, 2)
    return panels[:, :columns], np.ascontiguousarray(panels[:, columns])


def place(arrays):
    """Copies of float32 arrays, one behind the other in one block of memory, each from a cache line on."""
    sizes = [-(-array.nbytes // LINE) * LINE for array in arrays]
    memory = np.zeros(sum(sizes) + LINE, np.uint8)
    placed, begin = [], -memory.ctypes.data % LINE
    for array, size in zip(arrays, sizes, strict=True):
        copy = memory[begin : begin + array.nbytes].view(np.float32).reshape(array.shape)
        copy[...] = array
        placed.append(copy)
        begin += size
    return placed
