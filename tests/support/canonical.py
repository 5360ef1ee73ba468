"""Canonical parameters taken apart into other systems' layouts, without the converters."""

import numpy as np

from cgru.cells import CELLS
from support import reference
from support.models import pack, planes
from support.peers import assert_same, single


def parts(state, gates="rzn"):
    """W_r, U_r, b_r, c_r, W_z, ... of canonical parameters: (H, I), (H, H), (H,), (H,); an LSTM's gates are ifgo."""
    names = zip(("W", "U", "b", "c"), ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), strict=True)
    return {
        f"{letter}_{gate}": part
        for letter, name in names
        for gate, part in zip(gates, np.split(state[f"{name}_l0"], len(gates)), strict=True)
    }


def stacked(state, order):
    """W (G, I), U (G, H), b (G,), c (G,) with the gates in another order, such as "iofg"; of an RNN as they are."""
    if not order:
        return tuple(state[f"{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    p = parts(state, "rzn" if "z" in order else "ifgo")
    return tuple(np.concatenate([p[f"{letter}_{gate}"] for gate in order]) for letter in "WUbc")


def one_bias(state):
    """The same parameters without a recurrent bias, as many systems have them."""
    return state | {"bias_hh_l0": np.zeros_like(state["bias_hh_l0"])}


def starting_equations(x, state, h_0):
    """What reset-before cells whose z takes the new compute: y (T, N, H)."""
    zeros = np.zeros(len(state["weight_hh_l0"]))
    p = parts({"bias_ih_l0": zeros, "bias_hh_l0": zeros} | state)
    matrices = [np.concatenate([p[f"U_{gate}"], p[f"W_{gate}"]], axis=1) for gate in "rzn"]
    biases = [p[f"b_{gate}"] + p[f"c_{gate}"] for gate in "rzn"]
    y, h = [], h_0[0].astype(float)
    for x_t in x:
        h = reference.starting_equations(x_t, h, *matrices, *biases)
        y.append(h)
    return np.stack(y)


def inputs(rng, sizes):
    T, N, input_size, H = sizes
    return single(rng.normal(size=(T, N, input_size))), single(rng.normal(size=(1, N, H)))


def random_hx(rng, kind, sizes):
    """A float32 initial state of a kind of network: (1, N, H), or a pair of these."""
    _, N, _, H = sizes
    return pack([single(rng.normal(size=(1, N, H))) for _ in CELLS[kind].states])


def assert_oracle(model, state, x, hx, **options):
    """A model, in its own layout, computes what the oracle does with canonical parameters."""
    y, final = model(x.swapaxes(0, 1) if model.batch_first else x, hx)
    expected, expected_final = getattr(reference, model.kind)(x, state, hx, **options)
    assert_same(y.swapaxes(0, 1) if model.batch_first else y, expected)
    for got, wanted in zip(planes(final), planes(expected_final), strict=True):
        assert_same(got, wanted)


def random_tree(jax, tree, rng):
    """The same tree with random numbers, biases too."""
    return jax.tree.map(lambda a: jax.numpy.asarray(rng.normal(size=a.shape) / 2, a.dtype), tree)
