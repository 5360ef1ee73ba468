"""Small arrays for tests of errors."""

import numpy as np


def ones(*shape, dtype=np.float32):
    """Ones, float32 unless told."""
    return np.ones(shape, dtype)


def read_only(array):
    """A copy that cannot be written to."""
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    """The same numbers, one byte off any boundary."""
    shifted = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted
