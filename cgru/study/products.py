"""Matrix products and spectral norms with NumPy, none of which wakes the threads of NumPy's BLAS.

Of OpenBLAS's calls the largest that stay on the caller's thread are in `engines/_blas.pxd`; a piece of 64 by 64 by 64
is below all of them. NumPy's singular values come from LAPACK, which goes over them from some 96 rows on.
"""

import numpy as np

PIECE = 64
_SQUARINGS = 60


def product(a, b):
    """``a @ b`` of stacks of matrices (..., M, K) and (..., K, N), in pieces."""
    (M, K), N = a.shape[-2:], b.shape[-1]
    out = np.zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), M, N), np.result_type(a, b))
    for i in range(0, M, PIECE):
        for j in range(0, N, PIECE):
            for k in range(0, K, PIECE):
                rows, inner, columns = (slice(start, start + PIECE) for start in (i, k, j))
                out[..., rows, columns] += a[..., rows, inner] @ b[..., inner, columns]
    return out


def log_spectral_norms(matrices):
    """Logarithm of the largest singular value of each of (N, M, K): (N,) float64, -inf of zeros.

    S = J^T J has their squares as eigenvalues, whose sum is its trace. Divided by its trace and squared again and
    again, S tends to have the largest alone; each squaring halves what is missing in the logarithm, and what that can
    be at most is known, since the largest of eigenvalues with sum 1 is at least the sum of their squares.
    """
    J = np.asarray(matrices, np.float64)
    largest = np.abs(J).max(axis=(1, 2), initial=0)
    zero = largest == 0
    J = J / np.where(zero, 1, largest)[:, None, None]
    S, found, share = product(np.array(J.swapaxes(1, 2), order="C"), J), np.zeros(len(J)), 0.5
    for _ in range(_SQUARINGS):
        trace = np.where(zero, 1, np.trace(S, axis1=1, axis2=2))
        found += share * np.log(trace)
        S /= trace[:, None, None]
        S = product(S, S)
        share /= 2
        missing = -share * np.log(np.where(zero, 1, np.trace(S, axis1=1, axis2=2)))
        if (missing < 1e-16).all():
            break
    with np.errstate(divide="ignore"):
        return found + np.log(largest)
