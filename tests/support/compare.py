"""Comparison of results: bit by bit, within a tolerance, and whether two models are the same one."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal


def flat(result):
    """Every array of a result, (y, h_n) or (y, (h_n, c_n)), in one tuple."""
    if isinstance(result, tuple | list):
        return tuple(array for part in result for array in flat(part))
    return (result,)


def bits(array):
    """The array's numbers as unsigned integers: -0 is not 0, and a NaN is itself."""
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def assert_same_bits(results, expected):
    """One array, or arrays in (nested) tuples; the same shapes, dtypes and bits."""
    for result, wanted in zip(flat(results), flat(expected), strict=True):
        assert result.dtype == wanted.dtype and result.shape == wanted.shape
        different = np.argwhere(bits(result) != bits(wanted))
        assert len(different) == 0, (
            f"{len(different)} of {result.size} differ, first at {different[0]}: "
            f"{result[tuple(different[0])]!r} != {wanted[tuple(different[0])]!r}"
        )


def assert_close(results, expected, tolerance):
    """One array, or arrays in (nested) tuples; the same shapes, and every number within `tolerance`."""
    for result, wanted in zip(flat(results), flat(expected), strict=True):
        assert result.shape == wanted.shape
        assert_allclose(result, wanted, rtol=0, atol=tolerance)


def assert_equal(results, expected):
    """One array, or arrays in (nested) tuples; the same shapes and numbers."""
    for result, wanted in zip(flat(results), flat(expected), strict=True):
        assert result.shape == wanted.shape
        assert_array_equal(result, wanted)


def sample(model):
    """What a model computes on a fixed input: y and the final state."""
    x = np.random.default_rng(5).normal(size=(7, 4, model.input_size)).astype(model.dtype)
    return model(x.swapaxes(0, 1) if model.batch_first else x)


def assert_same_model(a, b):
    """One class, one configuration, the same parameters and results."""
    assert type(a) is type(b) and repr(a) == repr(b)
    assert list(a.state_dict()) == list(b.state_dict())
    for name, values in a.state_dict().items():
        assert_array_equal(b.state_dict()[name], values)
        assert b.state_dict()[name].dtype == values.dtype
    assert_equal(sample(a), sample(b))
