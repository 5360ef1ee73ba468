"""What tests of windows share: feeding one, and what it must answer."""

import numpy as np

from support.chains import Recipe, draw_input
from support.compare import assert_close, assert_same_bits
from support.models import on_planes


def afresh(model, x, T, hx=None):
    """What a window must answer to each sample of x (S, I): the model's last y over at most T samples."""
    found = []
    for end in range(1, len(x) + 1):
        y, _ = model(x[max(0, end - T) : end], hx)
        found.append(y if y.ndim == 1 else y[-1])
    return np.stack(found)


def feed(window, x, settles=None):
    """Answers to one sample after the other; `settles`: how often it is settled after each, never by default."""
    found = []
    for place, sample in enumerate(x):
        found.append(window.step(sample))
        for _ in range(settles[place] if settles is not None else 0):
            window.settle()
    return np.stack(found)


def same(variant):
    """How answers are compared: bit by bit where the contract says so."""
    if variant.engine == "packed" and variant.fused:
        return assert_same_bits
    return lambda results, expected: assert_close(results, expected, variant.tolerance)


def signal(variant, rng, samples, features):
    """x (S, I), some of it 0 and -0."""
    x = variant.cast(rng.normal(size=(samples, features)))
    x[rng.random(x.shape) < 0.05] = 0.0
    x[rng.random(x.shape) < 0.05] = -0.0
    return x


def network_input(variant, recipe, rng, samples):
    """x (S, I), and a state of every recurrent layer, without a batch."""
    plain = Recipe(recipe.name, recipe.input_size, recipe.layers)
    x, hx = draw_input(plain, rng, samples, 2, variant.dtype)
    return np.ascontiguousarray(x[:, 1]), tuple(on_planes(one, lambda plane: plane[:, 1].copy()) for one in hx)
