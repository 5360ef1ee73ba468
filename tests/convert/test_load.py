"""`cgru.load` and `cgru.convert`: one door for every kind of file, the tables of doors and formats."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru import convert
from cgru.convert import networks
from cgru.weights import Weights
from support.compare import assert_same_model
from support.models import random_state
from support.onnx_models import single_node
from support.peers import assert_same, peer, single

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")      # Keras's own
INPUT, H = 3, 5


# ------------------------------------------------------------------------------------- files to be read


def state_of(kind="gru"):
    """float32 parameters under PyTorch's names."""
    rng = np.random.default_rng(3)
    return {name: single(array) for name, array in random_state(rng, INPUT, H, kind=kind).items()}


def torch_file(path, prefix="", kind="gru"):
    torch = peer("torch")
    torch.save({prefix + name: torch.from_numpy(array) for name, array in state_of(kind).items()}, path)


def safetensors_file(path, prefix="", kind="gru"):
    state = {prefix + name: array for name, array in state_of(kind).items()}
    peer("safetensors.numpy").save_file(state, path)


def npz_file(path, prefix="", kind="gru"):
    np.savez(path, **{prefix + name: array for name, array in state_of(kind).items()})


def keras_file(path, names=("memory",)):
    keras = peer("keras")
    peer("h5py")
    layers = [keras.layers.GRU(H, name=name, return_sequences=True) for name in names]
    keras.Sequential([keras.Input((None, INPUT)), *layers]).save(path)


def onnx_file(path, nodes=1):
    onnx = peer("onnx")
    model = single_node(onnx, state_of())
    if nodes == 2:      # the same weights on the same input twice, both of them outputs
        again, output = onnx.NodeProto(), onnx.ValueInfoProto()
        again.CopyFrom(model.graph.node[0])
        again.name, again.output[0], again.output[1] = "other", "Y2", "Y2_h"
        model.graph.node.append(again)
        output.CopyFrom(model.graph.output[0])
        output.name = "Y2"
        model.graph.output.append(output)
    Path(path).write_bytes(model.SerializeToString())


def rtneural_file(path, layers=1):
    rng = np.random.default_rng(3)
    entries = []
    for size in (INPUT, H)[:layers]:
        weights = [rng.normal(size=shape).tolist() for shape in ((size, 3 * H), (H, 3 * H), (2, 3 * H))]
        entries.append({"type": "gru", "weights": weights})
    Path(path).write_text(json.dumps({"layers": entries}))


def mlx_file(path, names=("gru",)):
    shapes = {"Wx": (3 * H, INPUT), "Wh": (3 * H, H), "b": (3 * H,), "bhn": (H,)}
    rng = np.random.default_rng(3)
    arrays = {f"{name}.{key}": single(rng.normal(size=shape)) for name in names for key, shape in shapes.items()}
    np.savez(path, **arrays)


def tensorflow1_file(path, names=("rnn/gru_cell",)):
    shapes = {
        "gates/kernel": (INPUT + H, 2 * H), "gates/bias": 2 * H,
        "candidate/kernel": (INPUT + H, H), "candidate/bias": H,
    }  # fmt: skip
    rng = np.random.default_rng(3)
    arrays = {f"{name}/{key}": single(rng.normal(size=shape)) for name in names for key, shape in shapes.items()}
    np.savez(path, **arrays)


def haiku_file(path, names=("gru",)):
    shapes = {"w_i": (INPUT, 3 * H), "w_h": (H, 3 * H), "b": (3 * H,)}
    rng = np.random.default_rng(3)
    arrays = {f"{name}/{key}": single(rng.normal(size=shape)) for name in names for key, shape in shapes.items()}
    np.savez(path, **arrays)


def arrays_file(shapes):
    """A function of a path that writes random arrays of these shapes."""
    def write(path):
        rng = np.random.default_rng(3)
        np.savez(path, **{name: single(rng.normal(size=shape)) for name, shape in shapes.items()})

    return write


def gates_of(features, letters, side):
    return {f"net/LSTMCell_0/{side}{gate}/kernel": (features, H) for gate in letters}


LSTMS = {
    "mlx": {"net.Wx": (4 * H, INPUT), "net.Wh": (4 * H, H), "net.bias": (4 * H,)},
    "tensorflow1": {"basic_lstm_cell_1/kernel": (INPUT + H, 4 * H), "basic_lstm_cell_1/bias": (4 * H,)},
    "haiku": {"lstm/linear/w": (INPUT + H, 4 * H), "lstm/linear/b": (4 * H,)},
    "flax": gates_of(INPUT, "ifgo", "i") | gates_of(H, "ifgo", "h"),
}
RNNS = {
    "mlx": {"net.Wxh": (H, INPUT), "net.Whh": (H, H)},
    "tensorflow1": {"rnn/basic_rnn_cell/kernel": (INPUT + H, H), "rnn/basic_rnn_cell/bias": (H,)},
    "haiku": {"vanilla_rnn/linear/w": (INPUT, H), "vanilla_rnn/linear/b": (H,), "vanilla_rnn/linear_1/w": (H, H)},
    "flax": {"net/cell/i/kernel": (INPUT, H), "net/cell/i/bias": (H,), "net/cell/h/kernel": (H, H)},
}

#: Name of a file -> what writes it, and what of `cgru` reads it when asked by name.
FILES = {
    "state.pt": (torch_file, "from_torch"),
    "state.pth": (torch_file, "from_torch"),
    "state.ckpt": (torch_file, "from_torch"),
    "state.bin": (torch_file, "from_torch"),
    "state.safetensors": (safetensors_file, "from_torch"),
    "state.npz": (npz_file, "from_torch"),
    "model.keras": (keras_file, "from_keras"),
    "model.h5": (keras_file, "from_keras"),
    "model.onnx": (onnx_file, "from_onnx"),
    "model.json": (rtneural_file, "from_rtneural"),
    "mlx.npz": (mlx_file, "from_mlx"),
    "tensorflow1.npz": (tensorflow1_file, "from_tensorflow1"),
    "haiku.npz": (haiku_file, "from_haiku"),
} | {
    f"{system}_{what}.npz": (arrays_file(shapes[system]), f"from_{system}")
    for what, shapes in (("lstm", LSTMS), ("rnn", RNNS)) for system in shapes
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file(name, folder):
    """What the system's own function makes of it, by name and by path."""
    write, door = FILES[name]
    write(name)
    expected = getattr(cgru, door)(folder / name)
    for path in (name, folder / name):
        assert_same_model(cgru.load(path), expected)
    if "_" in name:
        assert expected.kind == name.partition("_")[2].removesuffix(".npz") and expected.hidden_size == H
    weights = convert.read(name)
    assert isinstance(weights, Weights) and weights == expected.weights
    assert convert.form(name)
    assert cgru.load(name, engine="blas").engine == "blas"


@pytest.mark.parametrize("network", [cgru.GRU, cgru.RNN, cgru.LSTM], ids=lambda network: network.__name__)
@pytest.mark.parametrize("name", ["model.safetensors", "model", "model.gru"])
def test_cgru_s_own_files(network, name, folder):
    """Of every kind, under any name that says nothing else."""
    model = network(INPUT, H, 2, rng=1, bidirectional=True)
    model.save(name)
    assert_same_model(cgru.load(name), model)
    assert convert.read(name) == model.weights
    assert convert.form(name) == "cgru format 2"
    with pytest.raises(ValueError, match="holds one model; leave out the name 'a'"):
        convert.read(name, name="a")


STATE_DICTS = [(torch_file, "m.pt"), (safetensors_file, "m.safetensors"), (npz_file, "m.npz")]


@pytest.mark.parametrize("write, name", STATE_DICTS, ids=["pt", "safetensors", "npz"])
@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_state_dicts_of_other_kinds(write, name, kind, folder):
    write(name, "a.", kind)
    model = cgru.load(name)
    assert type(model) is {"rnn": cgru.RNN, "lstm": cgru.LSTM}[kind]
    assert_array_equal(model.state_dict()["weight_hh_l0"], state_of(kind)["weight_hh_l0"])


def several_prefixes(name):
    state = {f"{prefix}{key}": array for prefix in ("a.", "b.") for key, array in state_of().items()}
    if name.endswith(".npz"):
        np.savez(name, **state)
    elif name.endswith(".safetensors"):
        peer("safetensors.numpy").save_file(state, name)
    else:
        torch = peer("torch")
        torch.save({key: torch.from_numpy(array) for key, array in state.items()}, name)


def two(write, what=("one", "two")):
    """A function of a name: that file with two networks."""
    return lambda name: write(name, what)


#: Files with two networks: what writes them, the two names, and the words with which the error shows the door.
SEVERAL = {
    "two.pt": (several_prefixes, ["'a.'", "'b.'"], r"cgru.from_torch(path, prefix=...)"),
    "two.npz": (several_prefixes, ["'a.'", "'b.'"], r"cgru.from_torch(path, prefix=...)"),
    "two.safetensors": (several_prefixes, ["'a.'", "'b.'"], r"cgru.from_torch(path, prefix=...)"),
    "two.keras": (two(keras_file), ["'one'", "'two'"], "cgru.from_keras(path, layer=...)"),
    "two.h5": (two(keras_file), ["'one'", "'two'"], "cgru.from_keras(path, layer=...)"),
    "two.onnx": (two(onnx_file, 2), ["gru", "other"], "cgru.from_onnx(path, node=...)"),
    "two.json": (two(rtneural_file, 2), ["0", "1"], "cgru.from_rtneural(path, layer=...)"),
    "mlx.npz": (two(mlx_file), ["'one'", "'two'"], "cgru.from_mlx(path, name=...)"),
    "tensorflow1.npz": (two(tensorflow1_file), ["one", "two"], "cgru.from_tensorflow1(path, name=...)"),
    "haiku.npz": (two(haiku_file), ["'one'", "'two'"], "cgru.from_haiku(path, name=...)"),
}


#: Those whose networks feed each other: `cgru.load` reads them all, and `read` takes one.
CHAINS = ("two.keras", "two.h5", "two.json")


@pytest.mark.parametrize("name", SEVERAL)
def test_several_networks_are_listed_with_the_door(name, folder):
    """The error names the file, every network and the function that takes one; `read` says name=."""
    write, names, door = SEVERAL[name]
    write(name)
    if name in CHAINS:
        assert [layer.hidden_size for layer in cgru.load(name).layers] == [H, H]
    else:
        with pytest.raises(ValueError) as caught:
            cgru.load(name)
        for word in (name, *names, door):
            assert word in str(caught.value)
    with pytest.raises(ValueError, match="name=") as caught:
        convert.read(name)
    for word in (name, *names):
        assert word in str(caught.value)


def test_one_of_several(folder):
    several_prefixes("two.npz")
    assert convert.read("two.npz", name="b.") == cgru.from_torch("two.npz", prefix="b.").weights
    keras_file("two.keras", ("one", "two"))
    assert convert.read("two.keras", name="two").config.input_size == H
    rtneural_file("two.json", 2)
    for number in (1, "1"):
        assert convert.read("two.json", name=number).config.hidden_size == H


def test_what_the_file_does_not_say(folder):
    """`read` takes fields of the configuration; the parameters stay as they are."""
    npz_file("state.npz")
    weights = convert.read("state.npz", reset_after=False, batch_first=True, activations=("hard_sigmoid", "tanh"))
    assert not weights.config.reset_after and weights.config.batch_first
    plain = convert.read("state.npz")
    for name, values in plain.tensors.items():
        assert_array_equal(weights.tensors[name], values)
    assert convert.read("state.npz", dtype="float64").dtype == np.float64
    npz_file("rnn.npz", kind="rnn")
    assert convert.read("rnn.npz", nonlinearity="relu").config.nonlinearity == "relu"
    with pytest.raises(ValueError, match="nonlinearity is for an RNN; these are GRU weights"):
        convert.read("state.npz", nonlinearity="relu")
    with pytest.raises(TypeError, match="dtype must be float32 or float64"):
        convert.read("state.npz", dtype="float16")


def test_files_that_are_not_read(folder):
    Path("model.txt").write_text("hello")
    for name in ("model.txt", "model.txt"):
        with pytest.raises(ValueError, match=r"its name ends with none of .*\.keras"):
            cgru.load(name)
    with pytest.raises(FileNotFoundError):
        cgru.load("missing.onnx")
    with pytest.raises(OSError):
        cgru.load(folder)
    with pytest.raises(TypeError):
        cgru.load(3)
    np.savez("odd.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"odd\.npz.*weight_ih_l0"):
        cgru.load("odd.npz")


# --------------------------------------------------------------------------------------------- the tables


def test_doors():
    """Each public from_SYSTEM stands in convert/SYSTEM.py beside weights_from_SYSTEM, which returns `Weights`."""
    public = {name for name in cgru.__all__ if name.startswith("from_")}
    assert set(convert.DOORS) == public
    for name, place in convert.DOORS.items():
        module = importlib.import_module(place)
        assert getattr(module, name) is getattr(cgru, name)
        assert callable(getattr(module, f"weights_{name}"))
        assert place == f"cgru.convert.{name.removeprefix('from_')}"


def test_formats():
    for kind in [*convert.FORMATS.values(), *convert.ARRAYS.values()]:
        assert kind.door in (convert.DOORS if kind.option else networks.CHAINS)
    for door, module in networks.CHAINS.items():
        assert callable(getattr(importlib.import_module(module), f"chain_{door}"))
    assert {kind.door for kind in [*convert.FORMATS.values(), *convert.ARRAYS.values()]} >= {
        door for _, door in FILES.values()
    }


def test_what_is_no_tree_of_a_gru():
    for door in (cgru.from_flax, cgru.from_haiku, cgru.from_mlx, cgru.from_tensorflow1):
        with pytest.raises(ValueError, match="there is no GRU with"):
            door({"params": {"Dense_0": {"kernel": np.zeros((3, 5)), "bias": np.zeros(5)}}})
        with pytest.raises(TypeError):
            door(7)


def test_a_loaded_model_computes(folder, rng):
    """The same as PyTorch's module whose file it is."""
    torch = peer("torch")
    module = torch.nn.LSTM(INPUT, H, 2, bidirectional=True)
    torch.save(module.state_dict(), "m.pt")
    x = single(rng.normal(size=(7, 4, INPUT)))
    assert_same(cgru.load("m.pt")(x)[0], module(torch.from_numpy(x))[0].detach().numpy())


# ------------------------------------------------------------------------------------------- whole networks


def amplifier_state():
    """A GRU, a Linear and a stranger in one state dict, in an order that says nothing."""
    head = cgru.Linear(H, 2, rng=4).state_dict()
    return {f"head.{name}": a for name, a in head.items()} | {f"gru.{name}": a for name, a in state_of().items()}


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pt"])
def test_a_state_dict_in_an_order(folder, rng, suffix):
    """`layers` gives it; without it, one layer and a warning that says so."""
    state, path = amplifier_state(), f"m.{suffix}"
    if suffix == "npz":
        np.savez(path, **state)
    elif suffix == "pt":
        torch = peer("torch")
        torch.save({name: torch.from_numpy(array) for name, array in state.items()}, path)
    else:
        peer("safetensors.numpy").save_file(state, path)
    words = r"left out are head\.(weight, head\.bias|bias, head\.weight).*layers=\('gru', 'head'\)"
    with pytest.warns(UserWarning, match=words):
        gru = cgru.load(path)
    head = cgru.Linear.from_state_dict(state, prefix="head.")
    x = single(rng.normal(size=(7, 4, INPUT)))
    net = cgru.load(path, layers=("gru", "head"), skip=True)
    assert_array_equal(net(x)[0], cgru.Sequential([gru, head], skip=True)(x)[0])
    plain = convert.read_network(path, layers=["gru", "relu", "last", "head"], dtype="float64", batch_first=True)
    assert plain.last is True and not plain.skip and plain.batch_first and plain.dtype == np.float64
    with pytest.warns(UserWarning, match="leaves out 'head'"):
        last = cgru.load(path, layers=("gru", "last"))      # asked for, so it is not dropped where there is no more
    assert_array_equal(last(x)[0], gru(x)[0][-1])
    with pytest.raises(ValueError, match="'haed'"):
        cgru.load(path, layers=("gru", "haed"))
    with pytest.raises(ValueError, match="name='gru' takes one layer"):
        convert.read_network(path, name="gru", layers=("gru", "head"))


def test_layers_are_for_state_dicts(folder):
    keras_file("model.keras")
    cgru.GRU(INPUT, H).save("own.safetensors")
    mlx_file("mlx.npz")
    for path, words in (("model.keras", "Keras"), ("own.safetensors", "a file of cgru"), ("mlx.npz", "MLX")):
        match = rf"{path}: layers=\('a', 'b'\) is for a state dict of PyTorch; this is {words}"
        with pytest.raises(ValueError, match=match):
            cgru.load(path, layers=("a", "b"))


def keras_network(path, between=()):
    keras = peer("keras")
    peer("h5py")
    layers = [keras.layers.GRU(H, name="memory", return_sequences=True), *between, keras.layers.Dense(2, name="head")]
    keras.Sequential([keras.Input((None, INPUT)), *layers]).save(path)


def test_what_is_no_chain_is_said(folder):
    """Its one recurrent layer, what is left out, and why; several are listed, with the reason too."""
    keras = peer("keras")
    keras_network("net.keras", [keras.layers.LayerNormalization(name="norm")])
    with pytest.warns(UserWarning) as caught:
        model = cgru.load("net.keras")
    assert isinstance(model, cgru.GRU) and len(caught) == 1
    text = str(caught[0].message)
    assert text.startswith("only the GRU is read") and "left out are norm, head; " in text
    assert "no chain of layers that cgru has (layer 'norm' (LayerNormalization)" in text
    assert caught[0].filename == __file__
    more = [keras.layers.LayerNormalization(name="norm"), keras.layers.GRU(4, name="second", return_sequences=True)]
    keras_network("net.keras", more)
    with pytest.raises(ValueError, match=r"'norm'.*there are several GRU layers: 'memory', 'second'; .*from_keras"):
        cgru.load("net.keras")
    keras.Sequential([keras.Input((9, INPUT)), keras.layers.Conv1D(4, 2, name="wide")]).save("net.keras")
    with pytest.raises(ValueError, match=r"net\.keras is no chain .*'wide'.*; and alone, there is no") as refusal:
        cgru.load("net.keras")
    assert str(refusal.value).count("net.keras") == 1


def test_changes_of_a_network(folder):
    """Of each recurrent layer that has such an option; the rest stays."""
    layers = [cgru.GRU(INPUT, H, rng=1), cgru.LSTM(H, 4, rng=2), cgru.RNN(4, 6, rng=3), cgru.Linear(6, 2, rng=4)]
    cgru.Sequential(layers).save("net.safetensors")
    chain = convert.read_network("net.safetensors", reset_after=False, nonlinearity="relu", skip=True, batch_first=True)
    assert chain.skip and chain.batch_first and all(chain.layers[k].config.batch_first for k in range(3))
    assert not chain.layers[0].config.reset_after and chain.layers[2].config.nonlinearity == "relu"
    for name, array in convert.read_network("net.safetensors").tensors.items():
        assert_array_equal(chain.tensors[name], array)
    cgru.Sequential([layers[1], cgru.Linear(4, 2)]).save("net.safetensors")
    with pytest.raises(ValueError, match="no layer of this network has an option reset_after; got False"):
        convert.read_network("net.safetensors", reset_after=False)


def test_one_recurrent_layer_is_no_network(folder):
    gru = cgru.GRU(INPUT, H, rng=1)
    cgru.Sequential([gru]).save("net.safetensors")
    assert cgru.load("net.safetensors") == gru
    assert cgru.load("net.safetensors", skip=False) == gru
    wide = cgru.GRU(H, INPUT, rng=1)
    cgru.Sequential([wide]).save("net.safetensors")
    assert cgru.load("net.safetensors", skip=True) == cgru.Sequential([wide], skip=True)
    cgru.Sequential([cgru.Linear(3, 2)]).save("net.safetensors")
    assert isinstance(cgru.load("net.safetensors"), cgru.Sequential)


def test_one_layer_of_a_network_of_cgru(folder):
    net = cgru.Sequential([cgru.GRU(INPUT, H, rng=1), cgru.Linear(H, 4, rng=2), cgru.LSTM(4, 6, rng=3)])
    net.save("net.safetensors")
    assert convert.read("net.safetensors", name="2") == net.layers[2].weights
    with pytest.raises(ValueError, match=r"several recurrent layers: '0', '2'; choose one with name="):
        convert.read("net.safetensors")
    cgru.Sequential(net.layers[:2]).save("net.safetensors")
    with pytest.warns(UserWarning, match=r"left out are Linear \(layer 1\); "):
        assert convert.read("net.safetensors") == net.layers[0].weights


def test_a_format_that_is_only_read_whole(folder):
    """A .nam has no single-layer door."""
    numbers = np.random.default_rng(1).normal(size=4 * H * (1 + H) + 4 * H + 2 * H + H + 1).tolist()
    config = {"input_size": 1, "hidden_size": H, "num_layers": 1}
    Path("m.nam").write_text(json.dumps(
        {"version": "0.5.4", "architecture": "LSTM", "config": config, "weights": numbers, "metadata": None}
    ))  # fmt: skip
    net = cgru.load("m.nam")
    assert [type(layer).__name__ for layer in net.layers] == ["LSTM", "Linear"] and net.input_size == 1
    assert convert.form("m.nam") == "Neural Amp Modeler"
    with pytest.raises(ValueError, match=r"m\.nam is one network \(Neural Amp Modeler\) and is read whole"):
        convert.read("m.nam")
