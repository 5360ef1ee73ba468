"""From TensorFlow 1: its layout, taken apart from canonical arrays, against the oracle."""

import numpy as np
import pytest

import cgru
from support import reference
from support.canonical import assert_oracle, inputs, one_bias, parts
from support.models import random_sizes, random_state
from support.peers import single


@pytest.fixture
def sizes(rng):
    return tuple(random_sizes(rng))


def tensorflow1_cell(state):
    p = parts(state)
    return {
        "gates/kernel": np.block([[p["W_r"].T, p["W_z"].T], [p["U_r"].T, p["U_z"].T]]),      # rows [x, h]
        "gates/bias": np.concatenate([p["b_r"], p["b_z"]]),
        "candidate/kernel": np.concatenate([p["W_n"].T, p["U_n"].T]),
        "candidate/bias": p["b_n"],
    }


def test_tensorflow1(rng, sizes, tmp_path):
    state = one_bias(random_state(rng, sizes[2], sizes[3]))
    cell = {name: single(array) for name, array in tensorflow1_cell(state).items()}
    x, h_0 = inputs(rng, sizes)
    old = {"kernel": "weights", "bias": "biases"}
    for variables in (
        cell,
        {f"rnn/gru_cell/{name}:0": array for name, array in cell.items()},
        {"rnn": {"gru_cell": cell}, "global_step": 7},
        {"/".join([name.split("/")[0], old[name.split("/")[1]]]): array for name, array in cell.items()},
    ):
        gru = cgru.from_tensorflow1(variables)
        assert gru.batch_first and not gru.reset_after
        assert_oracle(gru, state, x, h_0, reset_after=False)
    np.savez(tmp_path / "variables.npz", **cell)
    assert_oracle(cgru.from_tensorflow1(tmp_path / "variables.npz"), state, x, h_0, reset_after=False)
    relu = cgru.from_tensorflow1(cell, activation="relu")
    assert_oracle(relu, state, x, h_0, reset_after=False, g=reference.relu)


def test_tensorflow1_cells_as_layers(rng, sizes):
    _, _, input_size, H = sizes
    states = one_bias(random_state(rng, input_size, H)), one_bias(random_state(rng, H, H))
    names = [f"multi_rnn_cell/cell_{k}/gru_cell" for k in range(2)]
    variables = {
        f"{above}/{name}": single(array)
        for above, state in zip(names, states, strict=True)
        for name, array in tensorflow1_cell(state).items()
    }
    with pytest.raises(ValueError, match=r"several GRUs: 'multi_rnn_cell/cell_0/gru_cell', .*choose one with name="):
        cgru.from_tensorflow1(variables)
    both = states[0] | {name.replace("l0", "l1"): array for name, array in states[1].items()}
    x, _ = inputs(rng, sizes)
    assert_oracle(cgru.from_tensorflow1(variables, names), both, x, None, reset_after=False)
