"""From Paddle: its layout, taken apart from canonical arrays, against the oracle."""

import numpy as np
import pytest

import cgru
from support import reference
from support.canonical import inputs, parts, starting_equations
from support.models import random_sizes, random_state
from support.peers import assert_same, single


@pytest.fixture
def sizes(rng):
    return tuple(random_sizes(rng))


@pytest.mark.parametrize("origin_mode", [False, True], ids=["new", "keeps"])
@pytest.mark.parametrize("is_reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
def test_paddle(rng, sizes, origin_mode, is_reverse, bias):
    H = sizes[3]
    state = random_state(rng, sizes[2], H)
    p = parts(state)
    weight = np.concatenate([np.concatenate([p["U_z"].T, p["U_r"].T], axis=1).reshape(-1), p["U_n"].T.reshape(-1)])
    fc = np.concatenate([p["W_z"].T, p["W_r"].T, p["W_n"].T], axis=1)
    biases = [np.concatenate([p[f"{k}_z"], p[f"{k}_r"], p[f"{k}_n"]]) for k in "bc"]
    gru = cgru.from_paddle(
        single(weight).reshape(H, 3 * H),
        single(fc),
        single(biases[1]).reshape(1, -1) if bias else None,
        single(biases[0]) if bias else None,
        origin_mode=origin_mode,
        is_reverse=is_reverse,
    )
    assert gru.bias == bias
    if not bias:
        state = {name: array for name, array in state.items() if "weight" in name}
    x, h_0 = inputs(rng, sizes)
    y, h_n = gru(x, h_0)
    seen = x[::-1] if is_reverse else x
    expected = (
        reference.gru(seen, state, h_0, reset_after=False)[0] if origin_mode else starting_equations(seen, state, h_0)
    )
    assert_same(y, expected[::-1] if is_reverse else expected)
    assert_same(h_n[0], expected[-1])


def test_paddle_gates_that_cannot_be_turned_round(rng):
    weight, fc = np.zeros((5, 15)), np.zeros((3, 15))
    assert cgru.from_paddle(weight, fc, origin_mode=True, gate_activation="relu").hidden_size == 5
    with pytest.raises(ValueError, match=r"sigmoid.*relu"):
        cgru.from_paddle(weight, fc, gate_activation="relu")
    with pytest.raises(ValueError, match=r"74 elements.*3 \* H \* H"):
        cgru.from_paddle(np.zeros(74), fc)
