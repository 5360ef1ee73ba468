"""From Flax (linen and nnx) and Haiku."""

import numpy as np
import pytest

import cgru
from support.models import random_sizes
from support.peers import assert_same, peer, single


@pytest.fixture(scope="module")
def jax():
    return peer("jax")


def random_tree(jax, tree, rng):
    """The same tree with random numbers, biases too."""
    return jax.tree.map(lambda a: jax.numpy.asarray(rng.normal(size=a.shape) / 2, a.dtype), tree)


def test_linen(jax, rng):
    nn = peer("flax.linen")
    T, N, input_size, H = random_sizes(rng)
    x, h_0 = single(rng.normal(size=(N, T, input_size))), single(rng.normal(size=(N, H)))
    rnn = nn.RNN(nn.GRUCell(H), return_carry=True)
    variables = random_tree(jax, rnn.init(jax.random.key(0), x), rng)
    carry, expected = rnn.apply(variables, x, initial_carry=h_0)
    for tree in (variables, variables["params"], variables["params"]["cell"]):
        y, h_n = cgru.from_flax(tree)(x, h_0[None])
        assert_same(y, expected)
        assert_same(h_n[0], carry)


def test_linen_with_other_activations_and_several_cells(jax, rng):
    nn = peer("flax.linen")

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.RNN(nn.GRUCell(5, gate_fn=nn.hard_sigmoid, activation_fn=nn.relu))(x)
            return nn.RNN(nn.GRUCell(4))(x)

    x = single(rng.normal(size=(3, 6, 2)))
    variables = random_tree(jax, Net().init(jax.random.key(0), x), rng)
    first, second = sorted(variables["params"])
    lower = cgru.from_flax(variables, first, activations=(("hard_sigmoid", 1 / 6, 0.5), "relu"))
    upper = cgru.from_flax(variables, f"params/{second}")
    assert_same(upper(lower(x)[0])[0], Net().apply(variables, x))
    with pytest.raises(ValueError, match=f"several GRUs: .*{first}.*{second}.*choose one with name="):
        cgru.from_flax(variables)


def test_nnx(jax, rng):
    nnx = peer("flax.nnx")
    T, N, input_size, H = random_sizes(rng)
    x = single(rng.normal(size=(N, T, input_size)))
    cell = nnx.GRUCell(input_size, H, rngs=nnx.Rngs(0))
    nnx.update(cell, random_tree(jax, nnx.state(cell, nnx.Param), rng))
    rnn = nnx.RNN(cell, rngs=nnx.Rngs(1))
    expected = rnn(x)
    state = nnx.state(cell, nnx.Param)
    for source in (cell, rnn, state, nnx.to_pure_dict(state)):
        assert_same(cgru.from_flax(source)(x)[0], expected)


def test_haiku(jax, rng):
    hk = peer("haiku")
    T, N, input_size, H = random_sizes(rng)
    x, h_0 = single(rng.normal(size=(T, N, input_size))), single(rng.normal(size=(N, H)))

    def run(x, h_0):
        return hk.dynamic_unroll(hk.GRU(H, name="memory"), x, h_0)

    network = hk.without_apply_rng(hk.transform(run))
    params = random_tree(jax, network.init(jax.random.key(0), x, h_0), rng)
    expected, end = network.apply(params, x, h_0)
    for given in (params, params["memory"]):
        ours = cgru.from_haiku(given)
        assert not ours.reset_after
        y, h_n = ours(x, h_0[None])
        assert_same(y, expected)
        assert_same(h_n[0], end)
    assert cgru.from_haiku(params, "memory").hidden_size == H
    with pytest.raises(ValueError, match=r"name='attention'.*'memory'"):
        cgru.from_haiku(params, "attention")


def test_what_is_no_tree_of_a_gru(rng):
    for convert in (cgru.from_flax, cgru.from_haiku, cgru.from_mlx, cgru.from_tensorflow1):
        with pytest.raises(ValueError, match="there is no GRU with"):
            convert({"params": {"Dense_0": {"kernel": np.zeros((3, 5)), "bias": np.zeros(5)}}})
        with pytest.raises(TypeError):
            convert(7)
