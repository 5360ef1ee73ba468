"""Networks as RTNeural's JSON, and what they compute, in float64 and without the converters."""

import numpy as np

from support import reference
from support.canonical import one_bias, stacked
from support.models import random_state
from support.peers import single

FUNCTIONS = {
    "": lambda a: a, "tanh": np.tanh, "relu": reference.relu, "sigmoid": reference.sigmoid,
    "elu": lambda a: np.where(a > 0, a, np.expm1(a)),
    "softmax": lambda a: np.exp(a) / np.exp(a).sum(axis=-1, keepdims=True),
}  # fmt: skip


def entry(kind, features, weights=(), activation="", **others):
    """A layer in the model's list."""
    arrays = [np.asarray(array, float).tolist() for array in weights]
    return {"type": kind, "activation": activation, "shape": [None, None, features], "weights": arrays, **others}


def recurrent(rng, kind, input_size, H):
    """A random GRU or LSTM: (its entry, what it does with x (T, N, I))."""
    state = {name: single(array) for name, array in random_state(rng, input_size, H, kind=kind).items()}
    state = one_bias(state) if kind == "lstm" else state
    W, U, b, c = stacked(state, "zrn" if kind == "gru" else "ifgo")
    bias = np.stack([b, c]) if kind == "gru" else b
    return entry(kind, H, [W.T, U.T, bias], "tanh"), lambda x: getattr(reference, kind)(x, state)[0]


def dense(rng, input_size, features, activation="", kind="dense"):
    """A random dense layer: (its entry, what it does)."""
    kernel, bias = single(rng.normal(size=(input_size, features))), single(rng.normal(size=features))
    function = FUNCTIONS[activation]
    return entry(kind, features, [kernel, bias], activation), lambda x: function(x @ kernel.astype(float) + bias)


def batchnorm(rng, features, affine):
    """A random batch normalisation: (its entry, what it does)."""
    gamma, beta, mean = (single(rng.normal(size=features)) for _ in range(3)) if affine else (
        np.ones(features), np.zeros(features), single(rng.normal(size=features)))  # fmt: skip
    variance, epsilon = single(rng.uniform(0.5, 2, features)), 0.125
    weights = [gamma, beta, mean, variance] if affine else [mean, variance]
    return (
        entry("batchnorm", features, weights, epsilon=epsilon),
        lambda x: gamma * (x - mean) / np.sqrt(variance.astype(float) + epsilon) + beta,
    )


def prelu(features, slope, written=None):
    """One slope for all features: (its entry, what it does)."""
    slopes = [[slope] * features] if written is None else written
    return entry("prelu", features, [slopes]), lambda x: np.where(x >= 0, x, slope * x)


def random_network(rng, count, input_size, kinds=("gru", "lstm", "dense", "activation", "prelu", "batchnorm")):
    """`count` layers of random kinds and sizes: (the model, what it does with x)."""
    layers, size = [], input_size
    for _ in range(count):
        kind, wider = str(rng.choice(kinds)), int(rng.integers(2, 9))
        name = str(rng.choice(list(FUNCTIONS)))
        if kind in ("gru", "lstm"):
            layers.append(recurrent(rng, kind, size, wider))
        elif kind == "dense":
            layers.append(dense(rng, size, wider, name, kind=str(rng.choice(["dense", "time-distributed-dense"]))))
        elif kind == "activation":
            layers.append((entry("activation", size, activation=name), FUNCTIONS[name]))
        elif kind == "prelu":
            layers.append(prelu(size, 0.25))
        else:
            layers.append(batchnorm(rng, size, bool(rng.integers(2))))
        size = layers[-1][0]["shape"][-1]
    return network([input_size, *layers])


def network(parts):
    """[input size, (entry, function), ...]: (the model, what it does with x)."""
    input_size, *layers = parts
    model = {"in_shape": [None, None, input_size], "layers": [layer for layer, _ in layers]}

    def run(x):
        y = np.asarray(x, float)
        for _, function in layers:
            y = function(y)
        return y

    return model, run
