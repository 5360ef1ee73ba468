"""Canonical parameters of a GRU taken apart into other systems' layouts, without the converters."""

import numpy as np

from support import reference
from support.peers import assert_same, single


def parts(state):
    """W_r, U_r, b_r, c_r, W_z, ... of canonical parameters: (H, I), (H, H), (H,), (H,)."""
    names = zip(("W", "U", "b", "c"), ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), strict=True)
    return {
        f"{letter}_{gate}": part
        for letter, name in names
        for gate, part in zip("rzn", np.split(state[f"{name}_l0"], 3), strict=True)
    }


def one_bias(state):
    """The same parameters without a recurrent bias, as reset-before systems have them."""
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


def assert_oracle(gru, state, x, h_0, **options):
    """`gru`, in its own layout, computes what the oracle does with canonical parameters."""
    y, h_n = gru(x.swapaxes(0, 1) if gru.batch_first else x, h_0)
    expected, expected_h = reference.gru(x, state, h_0, **options)
    assert_same(y.swapaxes(0, 1) if gru.batch_first else y, expected)
    assert_same(h_n, expected_h)


def random_tree(jax, tree, rng):
    """The same tree with random numbers, biases too."""
    return jax.tree.map(lambda a: jax.numpy.asarray(rng.normal(size=a.shape) / 2, a.dtype), tree)
