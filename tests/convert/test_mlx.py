"""From MLX: its layout, taken apart from canonical arrays, against the oracle."""

import numpy as np
import pytest

import cgru
from support.canonical import assert_oracle, inputs, parts
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
        gru = cgru.from_mlx(source)
        assert gru.batch_first and gru.reset_after and gru.bias == bias
        assert_oracle(gru, state, x, h_0)
