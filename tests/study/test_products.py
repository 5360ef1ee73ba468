"""Products in pieces and spectral norms without LAPACK, against NumPy's own."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cgru.study.products import PIECE, log_spectral_norms, product

SIZES = [(1, 3, 5), (5, 1, 3), (3, 5, 1), (7, 64, 70), (130, 65, 64), (200, 129, 150), (3, 0, 4)]


@pytest.mark.parametrize("M, K, N", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product(rng, M, K, N, dtype):
    """One matrix, a stack, a stack with one matrix from either side; transposed views too."""
    a, b = rng.normal(size=(2, M, K)).astype(dtype), rng.normal(size=(2, K, N)).astype(dtype)
    tolerance = 1e-13 if dtype == np.float64 else 1e-4
    for left, right in ((a, b), (a[0], b[0]), (a[0], b), (a, b[0])):
        for turned in (right, np.ascontiguousarray(right.swapaxes(-1, -2)).swapaxes(-1, -2)):
            found = product(left, turned)
            assert found.dtype == dtype and found.shape == (left @ right).shape
            assert_allclose(found, left.astype(np.float64) @ right, rtol=0, atol=tolerance)


def test_no_piece_is_longer(monkeypatch, rng):
    shapes = []

    class Watched(np.ndarray):
        def __matmul__(self, other):
            shapes.append((*self.shape[-2:], other.shape[-1]))
            return np.ndarray.__matmul__(self.view(np.ndarray), other)

    product(rng.normal(size=(3, 150, 90)).view(Watched), rng.normal(size=(90, 200)))
    assert len(shapes) == 3 * 4 * 2 and max(max(shape) for shape in shapes) == PIECE


SHAPES = [(1, 1), (5, 3), (3, 5), (20, 20), (64, 64), (70, 130)]


@pytest.mark.parametrize("M, K", SHAPES)
def test_norms_are_the_largest_singular_values(rng, M, K):
    """Of any size, also where numbers squared would be none."""
    matrices = rng.normal(size=(4, M, K)) * np.array([1.0, 1e-200, 1e200, 1e-8])[:, None, None]
    expected = np.log(np.linalg.norm(matrices, 2, axis=(1, 2)))
    assert_allclose(log_spectral_norms(matrices), expected, rtol=1e-15, atol=1e-14)
    single = matrices[:1].astype(np.float32)
    expected = np.log(np.linalg.norm(single.astype(np.float64), 2, axis=(1, 2)))
    assert_allclose(log_spectral_norms(single), expected, rtol=0, atol=1e-14)


def test_norms_without_a_gap(rng):
    """Equal and nearly equal singular values, zeros, rank one, and a rotation."""
    H = 30
    rotation = np.linalg.qr(rng.normal(size=(H, H)))[0]
    near = 1 - np.arange(H) * 1e-9
    matrices = np.stack([np.eye(H), rotation, rotation * near, np.outer(near, near), np.diag(np.linspace(0, 3, H))])
    expected = np.log([1, 1, 1, near @ near, 3])
    assert_allclose(log_spectral_norms(matrices), expected, rtol=0, atol=2e-14)
    mixed = log_spectral_norms(np.stack([np.zeros((H, H)), rotation]))
    assert mixed[0] == -np.inf and abs(mixed[1]) < 2e-14
    assert_array_equal(log_spectral_norms(np.zeros((2, 3, 3))), [-np.inf, -np.inf])
