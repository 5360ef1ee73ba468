"""What a Sequential refuses before it looks at sizes."""

import numpy as np
import pytest

import cgru


@pytest.mark.parametrize("layers", [cgru.GRU(2, 3, rng=0), None, 3])
def test_layers_that_are_no_list(layers):
    with pytest.raises(TypeError, match=f"^layers must be a list of models, .*; got {type(layers).__name__}$"):
        cgru.Sequential(layers)


def test_last_is_a_flag_or_a_word():
    layers = [cgru.GRU(2, 3, rng=0), cgru.Linear(3, 1, rng=1)]
    assert cgru.Sequential(layers, last=np.True_).last is True
    for last in (1, "hn", np.ones(3), None):
        with pytest.raises(ValueError, match=r"^last must be False, True or 'h_n'; got"):
            cgru.Sequential(layers, last=last)


@pytest.mark.parametrize("mean, std, message", [
    ([1, 2, 3], [1, 1], r"of shape \(I,\); got \(3,\) and \(2,\)"),
    (0, 1, r"of shape \(I,\); got \(\) and \(\)"),
    ([1, 2], [1, 0], "std must be positive, finite .* got 0"),
    ([1, 2], [-1, 1], "std must be positive, finite .* got -1"),
    ([1, 2], 1e-60, "std must be positive, finite .* got 1e-60"),
])  # fmt: skip
def test_a_normalizer_that_is_none(mean, std, message):
    with pytest.raises(ValueError, match=message):
        cgru.Linear.normalizer(mean, std)


def test_a_normalizer(rng):
    x, mean, std = rng.normal(size=(4, 3)), rng.normal(size=3), rng.uniform(0.5, 2, 3)
    for width in (std, 1.5):
        y = cgru.Linear.normalizer(mean, width, dtype=np.float64)(x)
        np.testing.assert_allclose(y, (x - mean) / width, rtol=1e-13, atol=1e-13)
