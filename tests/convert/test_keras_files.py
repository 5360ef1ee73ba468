"""Keras's files, written by Keras and read without it; and files of Keras 1 and 2, put together by hand."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest

import cgru
from support import reference
from support.keras_files import WITHOUT_KERAS, hard_sigmoid, write_h5
from support.keras_models import a_model
from support.models import random_state
from support.peers import assert_same, peer, single

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")      # Keras's own

READ_WITHOUT_KERAS = WITHOUT_KERAS + """import numpy as np
import cgru
from cgru.convert.keras_hdf5 import read_layers

# here, where Keras is blocked; from_keras reads in a child process
assert len(read_layers(sys.argv[1]).layers) == 3
given = np.load(sys.argv[2])
found = {}
for name in given.files:
    gru = cgru.from_keras(sys.argv[1], name)
    found[name + ".y"], found[name + ".h_n"] = gru(given[name])
np.savez(sys.argv[3], **found)
"""


@pytest.fixture(scope="module")
def model():
    keras = peer("keras")
    peer("h5py")
    return a_model(keras, np.random.default_rng(7))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_file_read_without_keras(model, rng, tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    model.save(path)
    inner = model.get_layer("inner")
    layers = {
        "first": model.get_layer("first"),
        "inner/second": inner.get_layer("second"),
        "third": inner.get_layer("third"),
    }
    inputs = {name: single(rng.normal(size=(3, 6, size))) for name, size in zip(layers, (4, 10, 7), strict=True)}
    np.savez(tmp_path / "x.npz", **inputs)
    command = [sys.executable, "-P", "-c", READ_WITHOUT_KERAS, path, tmp_path / "x.npz", tmp_path / "y.npz"]
    subprocess.run(command, check=True, timeout=60)
    with np.load(tmp_path / "y.npz") as found:
        for name, layer in layers.items():
            assert_same(found[f"{name}.y"], layer(inputs[name]))
    with pytest.raises(ValueError, match=r"'first', 'inner/second', 'inner/third'; choose one with layer="):
        cgru.from_keras(path)


def test_many_layers_of_one_kind(rng, tmp_path):
    keras = peer("keras")
    names = ["alpha", "beta", "gamma"]
    layers = [keras.layers.GRU(3 + i, name=name, return_sequences=True) for i, name in enumerate(names)]
    model = keras.Sequential([keras.Input((None, 2)), *layers])
    model.save(tmp_path / "model.keras")
    for i, name in enumerate(names):
        found = cgru.from_keras(tmp_path / "model.keras", name).state_dict()
        np.testing.assert_array_equal(found["weight_ih_l0"], cgru.from_keras(layers[i]).state_dict()["weight_ih_l0"])


# ---- files of older versions, by hand


def z_r_h(array):
    """Canonical gates r, z, n stacked in rows, as Keras's z, r, h apart."""
    r, z, n = np.split(array, 3)
    return z, r, n


@pytest.mark.parametrize("wrapped", [False, True], ids=["one", "bidirectional"])
def test_a_file_of_keras_1(rng, tmp_path, wrapped):
    I, H = 4, 5  # noqa: E741
    state = random_state(rng, I, H, bidirectional=wrapped)
    for name in [name for name in state if "bias_hh" in name]:      # Keras 1 has one bias
        state[name] = np.zeros_like(state[name])
    arrays = {}
    for direction in ["", "_reverse"][: 1 + wrapped]:
        W, U, b = (z_r_h(state[f"{name}_l0{direction}"]) for name in ("weight_ih", "weight_hh", "bias_ih"))
        for gate, letter in enumerate("zrh"):
            arrays |= {
                f"gru_1{direction}_W_{letter}": W[gate].T,
                f"gru_1{direction}_U_{letter}": U[gate].T,
                f"gru_1{direction}_b_{letter}": b[gate],
            }
    gru = {"name": "gru_1", "output_dim": H, "activation": "tanh", "inner_activation": "hard_sigmoid", "input_dim": I}
    entry = {"class_name": "GRU", "config": gru}
    if wrapped:
        entry = {"class_name": "Bidirectional", "config": {"name": "gru_1", "layer": entry, "merge_mode": "concat"}}
    write_h5(tmp_path / "old.h5", {"class_name": "Sequential", "config": [entry]}, {"gru_1": arrays}, None)
    x = single(rng.normal(size=(3, 6, I)))
    expected, _ = reference.gru(x, state, reset_after=False, batch_first=True, f=hard_sigmoid)
    assert_same(cgru.from_keras(tmp_path / "old.h5")(x)[0], expected)
    if not wrapped:
        assert_same(cgru.from_keras([single(array) for array in arrays.values()])(x)[0], expected)


@pytest.mark.parametrize("reset_after", [None, False, True], ids=["unsaid", "before", "after"])
def test_a_file_of_keras_2(rng, tmp_path, reset_after):
    I, H = 4, 5  # noqa: E741
    state = random_state(rng, I, H)
    if not reset_after:
        state["bias_hh_l0"] = np.zeros_like(state["bias_hh_l0"])
    W, U, b, c = (np.concatenate(z_r_h(array)) for array in state.values())
    arrays = {
        "gru/gru_cell/kernel:0": W.T,
        "gru/gru_cell/recurrent_kernel:0": U.T,
        "gru/gru_cell/bias:0": np.stack([b, c]) if reset_after else b,
    }
    config = {"name": "gru", "units": H, "activation": "linear", "recurrent_activation": "hard_sigmoid"}
    if reset_after is not None:
        config["reset_after"] = reset_after
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "GRU", "config": config}]}}
    write_h5(tmp_path / "old.h5", config, {"gru": arrays}, "2.2.4")
    x = single(rng.normal(size=(3, 6, I)))
    options = {"f": hard_sigmoid, "g": lambda a: a}
    expected, _ = reference.gru(x, state, reset_after=bool(reset_after), batch_first=True, **options)
    assert_same(cgru.from_keras(tmp_path / "old.h5")(x)[0], expected)


# ---- files that are not to be trusted


def test_weights_alone_say_nothing_of_activations(tmp_path):
    h5py = peer("h5py")
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["gru/kernel"] = np.zeros((3, 15))
    with pytest.raises(ValueError, match="no model configuration"):
        cgru.from_keras(tmp_path / "weights.h5")


def test_other_files_are_not_opened(rng, tmp_path):
    h5py = peer("h5py")
    entry = {"class_name": "GRU", "config": {"name": "gru", "units": 5}}
    config = {"class_name": "Sequential", "config": {"layers": [entry]}}
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["kernel"] = np.zeros((4, 15))
    arrays = {"kernel": np.zeros((4, 15)), "recurrent_kernel": np.zeros((5, 15)), "bias": np.zeros((2, 15))}
    for kind in ("link", "external", "virtual", "unwritten", "text"):
        write_h5(tmp_path / "model.h5", config, {"gru": arrays}, "2.2.4")
        with h5py.File(tmp_path / "model.h5", "a") as file:
            group = file["model_weights/gru"]
            del group["kernel"]
            if kind == "link":
                group["kernel"] = h5py.ExternalLink("secret.h5", "kernel")
            elif kind == "external":
                group.create_dataset("kernel", (4, 15), "f4", external=[(str(tmp_path / "secret.h5"), 0, 240)])
            elif kind == "virtual":
                layout = h5py.VirtualLayout((4, 15), "f8")
                layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "kernel", (4, 15))
                group.create_virtual_dataset("kernel", layout)
            elif kind == "unwritten":
                group.create_dataset("kernel", (1 << 34, 15), "f4", chunks=(1024, 15))
            else:
                group["kernel"] = ["text"]
        with pytest.raises(ValueError, match=r"link|another file|declares|numbers"):
            cgru.from_keras(tmp_path / "model.h5")


def test_a_bomb_is_not_unpacked(model, tmp_path):
    bomb = tmp_path / "bomb.keras"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", bytes(100 << 20))      # 100 MiB in 100 KiB
    with pytest.raises(ValueError, match="decompression bomb"):
        cgru.from_keras(bomb)


def test_no_h5py_no_hdf5(model, tmp_path, monkeypatch):
    model.save(tmp_path / "model.keras")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'pip install "cgru\[keras\]"'):
        cgru.from_keras(tmp_path / "model.keras", "first")
