"""Comparison of results bit by bit, and the models over which the numerical contract is proven."""

import itertools

import numpy as np

from cgru.gru import GRU
from cgru.weights import Config, Weights
from variants import VARIANTS

#: What the contract speaks of; on x86-64-v2, without fused multiply-adds, other bits, but as constant ones.
PACKED = [variant for variant in VARIANTS if variant.engine == "packed"]
FUSED = [variant for variant in PACKED if variant.isa != "x86-64-v2"]

#: Every remainder of a block of 16, 8 and 4 units, of a tile of 8 and 4 rows, one feature and many; and (I, H, N)
#: that also have units for one or two panels only.
HIDDEN, ROWS, FEATURES = (24, 33, 100), (3, 9, 33), (1, 5, 40)
SMALL = (1, 1, 2), (5, 7, 3), (40, 13, 2), (3, 8, 5), (2, 16, 9), (9, 32, 4)
SIZES = (*itertools.product(FEATURES, HIDDEN, ROWS), *SMALL)

#: Configurations with everything that changes the path through the engine.
STACKS = {
    "after": {},
    "before": {"reset_after": False},
    "two layers": {"num_layers": 2},
    "three layers, before": {"num_layers": 3, "reset_after": False},
    "no bias": {"bias": False, "num_layers": 2},
    "batch first": {"batch_first": True},
    "clip": {"clip": 0.75},
    "hard_sigmoid, relu": {"activations": (("hard_sigmoid", "relu"),), "reset_after": False},
    "softsign, elu": {"activations": (("softsign", "elu"),)},
    "sigmoid, softplus": {"activations": (("sigmoid", "softplus"),), "clip": 2.5},
    "sigmoid, scaled_tanh": {"activations": (("sigmoid", ("scaled_tanh", 1.7, 0.6)),), "reset_after": False},
    "initial state": {"initial_state": True, "num_layers": 2},
}
BOTH_WAYS = {
    "bidirectional": {"bidirectional": True},
    "two layers, before": {"bidirectional": True, "num_layers": 2, "reset_after": False},
    "batch first": {"bidirectional": True, "batch_first": True},
    "sum": {"bidirectional": True, "merge_mode": "sum"},
    "reverse": {"reverse": True},
    "go_backwards": {"go_backwards": True},
    "go_backwards twice": {"go_backwards": True, "num_layers": 2},
}


def build(variant, input_size, H, **options):
    """A model of any configuration with random parameters, the same ones on every instruction set."""
    config = Config(input_size=input_size, hidden_size=H, **options)
    rng = np.random.default_rng([input_size, H])
    tensors = {name: variant.cast(rng.uniform(-1, 1, shape) / np.sqrt(H)) for name, shape in config.parameters()}
    with variant.selected():
        return GRU._from_weights(Weights(config, tensors), variant.engine)


def draw(variant, rng, model, T, N):
    """x (T, N, I), or (N, T, I), and h_0 (L*D, N, H): random, some of it 0 and -0."""
    x = variant.cast(rng.normal(size=(N, T, model.input_size) if model.batch_first else (T, N, model.input_size)))
    x[rng.random(x.shape) < 0.05] = 0.0
    x[rng.random(x.shape) < 0.05] = -0.0
    cells = model.num_layers * (1 + model.bidirectional)
    return x, variant.cast(rng.uniform(-1, 1, (cells, N, model.hidden_size)))


def bits(array):
    """The array's numbers as unsigned integers: -0 is not 0, and a NaN is itself."""
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def assert_same_bits(results, expected):
    """One array, or a tuple of arrays; the same shapes, dtypes and bits."""
    if isinstance(expected, np.ndarray):
        results, expected = (results,), (expected,)
    for result, wanted in zip(results, expected, strict=True):
        assert result.dtype == wanted.dtype and result.shape == wanted.shape
        different = np.argwhere(bits(result) != bits(wanted))
        assert len(different) == 0, (
            f"{len(different)} of {result.size} differ, first at {different[0]}: "
            f"{result[tuple(different[0])]!r} != {wanted[tuple(different[0])]!r}"
        )
