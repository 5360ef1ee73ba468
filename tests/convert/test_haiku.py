"""From Haiku."""

import numpy as np
import pytest

import cgru
from support.canonical import random_hx, random_tree
from support.models import planes, random_sizes
from support.peers import assert_same, peer, single


@pytest.fixture(scope="module")
def jax():
    return peer("jax")


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


@pytest.mark.parametrize("name", ["LSTM", "VanillaRNN"])
@pytest.mark.parametrize("own", [False, True], ids=["Haiku's name", "own name"])
def test_an_lstm_or_rnn(jax, rng, name, own):
    """A module of another name than Haiku's is read when it is asked for: its linear layers may be anybody's."""
    hk = peer("haiku")
    T, N, input_size, H = random_sizes(rng)
    kind = "lstm" if name == "LSTM" else "rnn"
    x, hx = single(rng.normal(size=(T, N, input_size))), random_hx(rng, kind, (T, N, input_size, H))
    start = hk.LSTMState(hx[0][0], hx[1][0]) if kind == "lstm" else hx[0]
    options = {"name": "memory"} if own else {}

    def run(x, start):
        return hk.dynamic_unroll(getattr(hk, name)(H, **options), x, start)

    network = hk.without_apply_rng(hk.transform(run))
    params = random_tree(jax, network.init(jax.random.key(0), x, start), rng)
    expected, end = network.apply(params, x, start)
    if own:
        with pytest.raises(ValueError, match=r"there is no GRU with w_h, w_i, b and no RNN with .* and no LSTM with"):
            cgru.from_haiku(params)
    ours = cgru.from_haiku(params, "memory" if own else None)
    assert ours.kind == kind
    y, final = ours(x, hx)
    assert_same(y, expected)
    for got, wanted in zip(planes(final), end if kind == "lstm" else (end,), strict=True):
        assert_same(got[0], wanted)


def test_a_vanilla_rnn_with_one_bias(jax, rng):
    hk = peer("haiku")
    x = single(rng.normal(size=(6, 3, 4)))

    def run(x):
        return hk.dynamic_unroll(hk.VanillaRNN(5, double_bias=False), x, np.zeros((3, 5), np.float32))[0]

    network = hk.without_apply_rng(hk.transform(run))
    params = random_tree(jax, network.init(jax.random.key(0), x), rng)
    assert_same(cgru.from_haiku(params)(x)[0], network.apply(params, x))


def test_a_linear_layer_is_no_lstm(rng):
    linear = {"w": np.ones((9, 8)), "b": np.ones(8)}
    for name in ("linear", "head/linear", "mlp/~/linear"):
        with pytest.raises(ValueError, match="no LSTM with linear/w, linear/b in the parameters"):
            cgru.from_haiku({name: linear})
    both = {"gru": {"w_i": np.ones((3, 15)), "w_h": np.ones((5, 15)), "b": np.ones(15)}, "lstm/linear": linear}
    with pytest.raises(ValueError, match=r"several recurrent networks: 'gru', 'lstm'; choose one with name="):
        cgru.from_haiku(both)
    assert cgru.from_haiku(both, "lstm").hidden_size == 2
    with pytest.raises(ValueError, match=r"linear/w has shape \(2, 8\), expected \(I \+ H, 4 \* H\)"):
        cgru.from_haiku({"lstm/linear": {"w": np.ones((2, 8)), "b": np.ones(8)}})
