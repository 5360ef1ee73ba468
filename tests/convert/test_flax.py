"""From Flax: linen and nnx."""

import pytest

import cgru
from support.canonical import random_tree
from support.models import random_sizes
from support.peers import assert_same, peer, single


@pytest.fixture(scope="module")
def jax():
    return peer("jax")


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
