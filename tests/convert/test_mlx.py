"""From MLX: its layout, taken apart from canonical arrays, against the oracle."""

import numpy as np
import pytest

import cgru
from support.canonical import assert_oracle, inputs, one_bias, parts, random_hx, stacked
from support.models import random_sizes, random_state
from support.peers import single


@pytest.fixture
def sizes(rng):
    return tuple(random_sizes(rng))


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
        gru = cgru.from_mlx(source, "gru" if isinstance(source, Module) else None)      # it has a head too
        assert gru.batch_first and gru.reset_after and gru.bias == bias
        assert_oracle(gru, state, x, h_0)


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
def test_an_lstm_or_rnn(rng, sizes, kind, bias, tmp_path):
    state = one_bias(random_state(rng, sizes[2], sizes[3], kind=kind))
    names = ("Wx", "Wh", "bias") if kind == "lstm" else ("Wxh", "Whh", "bias")
    arrays = dict(zip(names, (single(array) for array in stacked(state, "ifgo" * (kind == "lstm"))), strict=False))
    if not bias:
        del arrays["bias"]
        state["bias_ih_l0"] = np.zeros_like(state["bias_ih_l0"])
    x, _ = inputs(rng, sizes)
    hx = random_hx(rng, kind, sizes)
    np.savez(tmp_path / "weights.npz", **{f"memory.{name}": array for name, array in arrays.items()})
    for source in (arrays, {"net": {"memory": arrays}}, tmp_path / "weights.npz"):
        model = cgru.from_mlx(source)
        assert model.kind == kind and model.batch_first and model.bias == bias
        assert_oracle(model, state, x, hx)
    assert cgru.load(tmp_path / "weights.npz") == model
    if kind == "rnn":
        assert_oracle(cgru.from_mlx(arrays, nonlinearity="relu"), state, x, hx, nonlinearity="relu")
    else:
        with pytest.raises(ValueError, match="nonlinearity='relu' is for an RNN"):
            cgru.from_mlx(arrays, nonlinearity="relu")
        with pytest.raises(ValueError, match=r"several recurrent networks: 'a', 'b'; choose one with name="):
            cgru.from_mlx({"a": arrays, "b": {"Wx": np.ones((6, 3)), "Wh": np.ones((6, 2))}})
    with pytest.raises(ValueError, match=rf"{names[2]} has shape \(3,\)"):
        cgru.from_mlx(arrays | {"bias": np.ones(3)})
