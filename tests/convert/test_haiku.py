"""From Haiku."""

import pytest

import cgru
from support.canonical import random_tree
from support.models import random_sizes
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
