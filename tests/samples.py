"""Models of several configurations, and whether two models are the same one."""

import numpy as np
from numpy.testing import assert_array_equal

SHAPE = (7, 4, 3)
CONFIGURATIONS = [
    {},
    {"num_layers": 2, "bias": False},
    {"bidirectional": True, "batch_first": True},
    {"num_layers": 3, "bidirectional": True, "reset_after": False},
]


def sample(model):
    """What a model computes on a fixed input: y and h_n."""
    x = np.random.default_rng(5).normal(size=SHAPE).astype(model.dtype)
    return model(x.swapaxes(0, 1) if model.batch_first else x)


def assert_same_model(a, b):
    assert repr(a) == repr(b)
    assert list(a.state_dict()) == list(b.state_dict())
    for name, values in a.state_dict().items():
        assert_array_equal(b.state_dict()[name], values)
        assert b.state_dict()[name].dtype == values.dtype
    for one, other in zip(sample(a), sample(b), strict=True):
        assert_array_equal(one, other)
