"""From TensorFlow 1, Paddle, MLX, RTNeural: their layouts, taken apart from canonical arrays, against the oracle."""

import json

import numpy as np
import pytest

import cgru
from support import reference
from support.models import random_sizes, random_state
from support.peers import assert_same, single


@pytest.fixture
def sizes(rng):
    return tuple(random_sizes(rng))


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


# ---- TensorFlow 1


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


# ---- Paddle


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


# ---- MLX


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
def test_mlx(rng, sizes, bias, tmp_path):
    state = random_state(rng, sizes[2], sizes[3])
    for name in ("bias_ih_l0", "bias_hh_l0"):
        state[name] = state[name] if bias else np.zeros_like(state[name])
    p = parts(state)
    state["bias_hh_l0"] = np.concatenate([np.zeros_like(p["c_r"]), np.zeros_like(p["c_z"]), p["c_n"]])
    parameters = {"Wx": state["weight_ih_l0"], "Wh": state["weight_hh_l0"]}
    parameters |= {"b": state["bias_ih_l0"], "bhn": p["c_n"]} if bias else {}
    parameters = {name: single(array) for name, array in parameters.items()}

    class Module:
        def parameters(self):
            return {"head": {"weight": single([[1]])}, "gru": parameters}

    flat = {f"gru.{name}": array for name, array in parameters.items()}
    np.savez(tmp_path / "weights.npz", **flat)
    pytest.importorskip("safetensors.numpy").save_file(flat, tmp_path / "weights.safetensors")
    x, h_0 = inputs(rng, sizes)
    for source in (parameters, Module(), flat, tmp_path / "weights.npz", str(tmp_path / "weights.safetensors")):
        gru = cgru.from_mlx(source)
        assert gru.batch_first and gru.reset_after and gru.bias == bias
        assert_oracle(gru, state, x, h_0)


# ---- RTNeural


def test_rtneural(rng, sizes, tmp_path):
    H = sizes[3]
    state = random_state(rng, sizes[2], H)
    p = parts(state)
    kernel, recurrent = (np.concatenate([p[f"{k}_z"].T, p[f"{k}_r"].T, p[f"{k}_n"].T], axis=1) for k in "WU")
    bias = np.stack([np.concatenate([p[f"{k}_z"], p[f"{k}_r"], p[f"{k}_n"]]) for k in "bc"])
    weights = [array.tolist() for array in (kernel, recurrent, bias)]
    gru = {"type": "gru", "activation": "", "shape": [None, None, H], "weights": weights}
    dense = {"type": "dense", "activation": "", "shape": [None, None, 1], "weights": [[[0.5]] * H, [0.1]]}
    model = {"in_shape": [None, None, sizes[2]], "layers": [gru, dense]}
    (tmp_path / "model.json").write_text(json.dumps(model))
    x, h_0 = inputs(rng, sizes)
    for source in (model, tmp_path / "model.json", str(tmp_path / "model.json")):
        assert_oracle(cgru.from_rtneural(source), state, x, h_0)
    assert cgru.from_rtneural(model).dtype == np.float32
    with pytest.raises(ValueError, match=r"several gru layers: 0, 1; choose one with layer="):
        cgru.from_rtneural(model | {"layers": [gru, gru]})
    assert cgru.from_rtneural(model | {"layers": [dense, gru]}, 1).hidden_size == H
    with pytest.raises(ValueError, match="no gru layer"):
        cgru.from_rtneural(model | {"layers": [dense]})
