"""The sequences of the adding problem."""

import numpy as np


def sequences(rng, length, count):
    """Sequences of the adding problem.

    Parameters
    ----------
    rng : numpy.random.Generator
    length : int
        T, at least 2.
    count : int
        N.

    Returns
    -------
    x : (T, N, 2) float32
        The numbers, and the marks: 1 at two steps, one of them before T // 2.
    target : (N,) float32
        The sum of the marked numbers.
    """
    x = np.zeros((length, count, 2), np.float32)
    x[:, :, 0] = rng.random((length, count), np.float32)
    rows = np.arange(count)
    marked = rng.integers(0, length // 2, count), rng.integers(length // 2, length, count)
    target = np.zeros(count, np.float32)
    for steps in marked:
        x[steps, rows, 1] = 1
        target += x[steps, rows, 0]
    return x, target
