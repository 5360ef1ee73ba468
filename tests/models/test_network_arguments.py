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
