"""The table of docs/frameworks.md: every line is run, on such an object or file as it names."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import cgru
from support.models import random_state
from support.peers import peer, single

PAGE = Path(__file__).parents[2] / "docs" / "frameworks.md"
if not PAGE.is_file():
    pytest.skip("docs/ is in the repository only", allow_module_level=True)

SECTION = PAGE.read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| ([^|]+?) \| `([^`]+)` \|", SECTION, flags=re.MULTILINE))

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")      # Keras's own
I, H = 3, 5  # noqa: E741


def torch_module(folder, network=cgru.GRU):
    return {"module": getattr(peer("torch").nn, network.__name__)(I, H)}


def torch_file(folder, network=cgru.GRU):
    state = random_state(np.random.default_rng(0), I, H, kind=network.kind)
    state = {f"gru.{name}": single(array) for name, array in state.items()}
    peer("safetensors.numpy").save_file(state, folder / "model.safetensors")
    return {}


def keras_model(folder, network=cgru.GRU):
    keras = peer("keras")
    layer = keras.layers.SimpleRNN if network is cgru.RNN else getattr(keras.layers, network.__name__)
    layers = [layer(H, name="memory", return_sequences=True), keras.layers.GRU(2, name="last")]
    return {"model": keras.Sequential([keras.Input((None, I)), *layers]), "layer": layers[0]}


def keras_file(folder, network=cgru.GRU):
    peer("h5py")
    keras_model(folder, network)["model"].save(folder / "model.keras")
    return {}


def onnx_file(folder):
    peer("onnx")
    cgru.GRU(I, H, num_layers=2, rng=0).to_onnx(folder / "model.onnx")
    return {}


CELLS = {cgru.GRU: "GRUCell", cgru.LSTM: "OptimizedLSTMCell", cgru.RNN: "SimpleCell"}


def linen_variables(folder, network=cgru.GRU):
    nn, jax = peer("flax.linen"), peer("jax")
    layer = nn.RNN(getattr(nn, CELLS[network])(H))
    return {"variables": layer.init(jax.random.key(0), np.zeros((2, 4, I), np.float32))}


def nnx_cell(folder, network=cgru.GRU):
    nnx = peer("flax.nnx")
    return {"cell": getattr(nnx, CELLS[network])(I, H, rngs=nnx.Rngs(0))}


def haiku_params(folder):
    return {"params": {"gru": {"w_i": np.ones((I, 3 * H)), "w_h": np.ones((H, 3 * H)), "b": np.ones(3 * H)}}}


def tensorflow1_file(folder):
    shapes = {"gates/kernel": (I + H, 2 * H), "gates/bias": 2 * H, "candidate/kernel": (I + H, H), "candidate/bias": H}
    np.savez(folder / "variables.npz", **{f"rnn/gru_cell/{name}": np.ones(shape) for name, shape in shapes.items()})
    return {}


def paddle_arrays(folder):
    return {"weight": np.ones((H, 3 * H)), "input_weight": np.ones((I, 3 * H)), "bias": np.ones((1, 3 * H))}


def mlx_file(folder):
    np.savez(folder / "weights.npz", **{"gru.Wx": np.ones((3 * H, I)), "gru.Wh": np.ones((3 * H, H))})
    return {}


def rtneural_file(folder):
    weights = [np.ones(shape).tolist() for shape in ((I, 3 * H), (H, 3 * H), (2, 3 * H))]
    (folder / "model.json").write_text(json.dumps({"layers": [{"type": "gru", "weights": weights}]}))
    return {}


SOURCES = {
    "PyTorch": torch_module,
    "PyTorch file": torch_file,
    "Keras 3": keras_model,
    "Keras file": keras_file,
    "Keras weights": keras_model,
    "ONNX": onnx_file,
    "Flax linen": linen_variables,
    "Flax nnx": nnx_cell,
    "Haiku": haiku_params,
    "TensorFlow 1": tensorflow1_file,
    "Paddle": paddle_arrays,
    "MLX": mlx_file,
    "RTNeural": rtneural_file,
}


def test_every_line_is_tested():
    assert list(ROWS) == list(SOURCES)


@pytest.mark.parametrize("row", SOURCES)
def test_a_line_runs(row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = SOURCES[row](tmp_path) | {"cgru": cgru}
    exec(ROWS[row], names)
    gru = names["gru"]
    assert (gru.input_size, gru.hidden_size) == (I, H)
    y, _ = gru(np.ones((4, 2, I)))
    assert y.shape == (4, 2, H) and np.isfinite(y).all()


@pytest.mark.parametrize("network", [cgru.LSTM, cgru.RNN], ids=lambda network: network.__name__)
@pytest.mark.parametrize("row", ["PyTorch", "PyTorch file", "Keras 3", "Keras file", "Flax linen", "Flax nnx"])
def test_a_line_runs_with_other_kinds(row, network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = SOURCES[row](tmp_path, network) | {"cgru": cgru}
    exec(ROWS[row], names)
    assert type(names["gru"]) is network and names["gru"].hidden_size == H


def test_and_back(tmp_path, monkeypatch):
    assert "`gru.to_torch()`" in SECTION and '`gru.to_onnx("model.onnx")`' in SECTION
    monkeypatch.chdir(tmp_path)
    peer("onnx")
    gru = cgru.GRU(I, H, rng=0)
    gru.to_onnx("model.onnx")
    assert cgru.from_onnx("model.onnx").hidden_size == H
    peer("torch")
    assert gru.to_torch().hidden_size == H
