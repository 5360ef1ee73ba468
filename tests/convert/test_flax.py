"""From Flax: linen and nnx."""

import pytest

import cgru
from support.canonical import random_hx, random_tree
from support.models import planes, random_sizes
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


LINEN = ["LSTMCell", "OptimizedLSTMCell", "SimpleCell"]


def flax_carry(hx):
    """An LSTM's carry is (c, h)."""
    return (hx[1][0], hx[0][0]) if isinstance(hx, tuple) else hx[0]


def assert_carry(final, carry):
    for got, wanted in zip(planes(final), carry[::-1] if isinstance(final, tuple) else (carry,), strict=True):
        assert_same(got[0], wanted)


@pytest.mark.parametrize("name", LINEN)
def test_an_lstm_or_rnn_of_linen(jax, rng, name):
    nn = peer("flax.linen")
    sizes = T, N, input_size, H = tuple(random_sizes(rng))
    kind = "rnn" if name == "SimpleCell" else "lstm"
    x, hx = single(rng.normal(size=(N, T, input_size))), random_hx(rng, kind, sizes)
    network = nn.RNN(getattr(nn, name)(H), return_carry=True)
    variables = random_tree(jax, network.init(jax.random.key(0), x), rng)
    carry, expected = network.apply(variables, x, initial_carry=flax_carry(hx))
    for tree in (variables, variables["params"], variables["params"]["cell"]):
        ours = cgru.from_flax(tree)
        assert ours.kind == kind and ours.batch_first
        y, final = ours(x, hx)
        assert_same(y, expected)
        assert_carry(final, carry)
    options = {"activation_fn": nn.relu} | ({"gate_fn": nn.hard_sigmoid} if kind == "lstm" else {})
    given = {"activations": (("hard_sigmoid", 1 / 6, 0.5), "relu")} if kind == "lstm" else {"nonlinearity": "relu"}
    other = nn.RNN(getattr(nn, name)(H, **options))
    assert_same(cgru.from_flax(variables, **given)(x / 8)[0], other.apply(variables, x / 8), 1e-5)


@pytest.mark.parametrize("name", LINEN)
def test_an_lstm_or_rnn_of_nnx(jax, rng, name):
    nnx = peer("flax.nnx")
    sizes = T, N, input_size, H = tuple(random_sizes(rng))
    kind = "rnn" if name == "SimpleCell" else "lstm"
    x, hx = single(rng.normal(size=(N, T, input_size))), random_hx(rng, kind, sizes)
    cell = getattr(nnx, name)(input_size, H, rngs=nnx.Rngs(0))
    nnx.update(cell, random_tree(jax, nnx.state(cell, nnx.Param), rng))
    rnn = nnx.RNN(cell, return_carry=True, rngs=nnx.Rngs(1))
    carry, expected = rnn(x, initial_carry=jax.tree.map(jax.numpy.asarray, flax_carry(hx)))
    state = nnx.state(cell, nnx.Param)
    for source in (cell, rnn, state, nnx.to_pure_dict(state)):
        ours = cgru.from_flax(source)
        assert ours.kind == kind
        y, final = ours(x, hx)
        assert_same(y, expected)
        assert_carry(final, carry)


def test_what_is_refused(jax):
    nnx = peer("flax.nnx")
    residual = nnx.SimpleCell(3, 5, residual=True, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="SimpleCell has residual=True, which is not supported"):
        cgru.from_flax(residual)
    lstm, simple = (nnx.state(cell(3, 5, rngs=nnx.Rngs(0))) for cell in (nnx.OptimizedLSTMCell, nnx.SimpleCell))
    with pytest.raises(ValueError, match=r"several recurrent networks: 'a', 'b'; choose one with name="):
        cgru.from_flax({"a": nnx.to_pure_dict(lstm), "b": nnx.to_pure_dict(simple)})
    with pytest.raises(ValueError, match="RNN has one function; give it as nonlinearity"):
        cgru.from_flax(simple, activations=("sigmoid", "relu"))
    with pytest.raises(ValueError, match="nonlinearity='relu' is for an RNN; these are LSTM weights"):
        cgru.from_flax(lstm, nonlinearity="relu")
