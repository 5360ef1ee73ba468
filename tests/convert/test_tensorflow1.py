"""From TensorFlow 1: its layout, taken apart from canonical arrays, against the oracle."""

import numpy as np
import pytest

import cgru
from support import reference
from support.canonical import assert_oracle, inputs, one_bias, parts, random_hx, stacked
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


def joint_cell(state, kind):
    """The variables of an LSTM, gates i, j, f, o, or of a BasicRNNCell."""
    W, U, b, _ = stacked(state, "igfo" if kind == "lstm" else "")
    return {"kernel": single(np.concatenate([W.T, U.T])), "bias": single(b)}      # rows [x, h]


def forgetting(state, amount):
    """The same with `amount` added to the forget gate's bias, as the cell does when it runs."""
    i, f, g, o = np.split(state["bias_ih_l0"], 4)
    return state | {"bias_ih_l0": np.concatenate([i, f + amount, g, o])}


SCOPES = {
    "lstm": ["rnn/basic_lstm_cell", "rnn/multi_rnn_cell/cell_0/lstm_cell", "lstm_cell_1"],
    "rnn": ["rnn/basic_rnn_cell", "basic_rnn_cell_2"],
}


@pytest.mark.parametrize("kind", SCOPES)
def test_an_lstm_or_rnn(rng, sizes, kind, tmp_path):
    state = one_bias(random_state(rng, sizes[2], sizes[3], kind=kind))
    cell = joint_cell(state, kind)
    x, _ = inputs(rng, sizes)
    hx = random_hx(rng, kind, sizes)
    ran = forgetting(state, 1.0) if kind == "lstm" else state
    for scope in SCOPES[kind]:
        for names in (("kernel", "bias"), ("weights:0", "biases:0")):
            variables = dict(zip((f"{scope}/{name}" for name in names), cell.values(), strict=True))
            model = cgru.from_tensorflow1(variables | {"global_step": 7})
            assert model.kind == kind and model.batch_first
            assert_oracle(model, ran, x, hx)
            assert_oracle(cgru.from_tensorflow1(variables, scope), ran, x, hx)
        np.savez(tmp_path / "variables.npz", **{f"{scope}/{name}": array for name, array in cell.items()})
        assert cgru.load(tmp_path / "variables.npz") == model
    assert_oracle(cgru.from_tensorflow1(cell, kind=kind), ran, x, hx)
    relu = {"g": reference.relu} | ({"h": reference.relu} if kind == "lstm" else {})
    assert_oracle(cgru.from_tensorflow1(cell, kind=kind, activation="relu"), ran, x, hx, **relu)
    if kind == "lstm":
        assert_oracle(cgru.from_tensorflow1(cell, kind=kind, forget_bias=0.0), state, x, hx)
        assert_oracle(cgru.from_tensorflow1(cell, kind=kind, forget_bias=0.25), forgetting(state, 0.25), x, hx)


def test_scopes_that_do_not_say_what_they_are(rng):
    """A kernel's shape may."""
    def variables(rows, columns):
        return {"memory": {"kernel": np.ones((rows, columns)), "bias": np.ones(columns)}}

    assert cgru.from_tensorflow1(variables(7, 16), "memory").kind == "lstm"      # more columns than rows
    assert cgru.from_tensorflow1(variables(7, 5), "memory").kind == "rnn"        # no four gates
    for source, name in ((variables(9, 8), "memory"), (variables(9, 8)["memory"], "")):
        with pytest.raises(ValueError, match=r"a kernel \(9, 8\) may be an LSTM's or an RNN's; say kind='lstm' or"):
            cgru.from_tensorflow1(source, name)
        assert cgru.from_tensorflow1(source, name, kind="lstm").hidden_size == 2
        assert cgru.from_tensorflow1(source, name, kind="rnn").hidden_size == 8
    with pytest.raises(ValueError, match=r"there is no GRU with .* and no LSTM with kernel, bias and no RNN with"):
        cgru.from_tensorflow1(variables(9, 8))
    with pytest.raises(ValueError, match="kind must be one of gru, rnn, lstm; got 'LSTM'"):
        cgru.from_tensorflow1(variables(9, 8), kind="LSTM")


def test_what_is_refused(rng):
    cell = {"kernel": np.ones((5, 8)), "bias": np.ones(8)}
    for name, shape, why in (("w_f_diag", 2, "peepholes"), ("projection/kernel", (2, 1), "a projection")):
        with pytest.raises(ValueError, match=f"this LSTM has {why}, which is not supported: kernel, bias, {name}"):
            cgru.from_tensorflow1({"rnn/lstm_cell": cell | {name: np.ones(shape)}})
    with pytest.raises(ValueError, match=r"kernel has shape \(2, 8\), expected \(I \+ H, 4 \* H\)"):
        cgru.from_tensorflow1({"lstm_cell": cell | {"kernel": np.ones((2, 8))}})
    several = {"basic_lstm_cell": cell, "basic_rnn_cell": {"kernel": np.ones((4, 2)), "bias": np.ones(2)}}
    with pytest.raises(ValueError, match=r"several recurrent networks: 'basic_lstm_cell', 'basic_rnn_cell'; choose"):
        cgru.from_tensorflow1(several)
    with pytest.raises(ValueError, match="'basic_lstm_cell' is LSTM and 'basic_rnn_cell' is RNN"):
        cgru.from_tensorflow1(several, list(several))


def test_lstm_cells_as_layers(rng, sizes):
    _, _, input_size, H = sizes
    states = [one_bias(random_state(rng, size, H, kind="lstm")) for size in (input_size, H)]
    names = [f"multi_rnn_cell/cell_{k}/basic_lstm_cell" for k in range(2)]
    variables = dict(zip(names, (joint_cell(state, "lstm") for state in states), strict=True))
    ran = [forgetting(state, 1.0) for state in states]
    both = ran[0] | {name.replace("l0", "l1"): array for name, array in ran[1].items()}
    x, _ = inputs(rng, sizes)
    assert_oracle(cgru.from_tensorflow1(variables, names), both, x, None)
