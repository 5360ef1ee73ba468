"""Whole networks in Keras's files, written by Keras and read without it; older files, and damaged ones, by hand."""

import copy
import json
import random
import re
import subprocess
import sys

import numpy as np
import pytest

import cgru
from cgru.convert import keras_chain
from cgru.convert._errors import NotAChain
from cgru.convert.keras_chain import chain_from_keras
from cgru.convert.keras_files import read_network
from support import reference
from support.keras_files import WITHOUT_KERAS, hard_sigmoid, write_h5
from support.keras_models import random_network, randomised
from support.models import random_state
from support.peers import assert_same, peer, single

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),      # Keras's own
    pytest.mark.filterwarnings("ignore:You are saving"),
]

TOLERANCE = 1e-5
T, N, I, H = 6, 3, 4, 5  # noqa: E741


@pytest.fixture(scope="module")
def keras():
    peer("h5py")
    return peer("keras")


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 8, 9, 12, 14])
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_random_networks(keras, rng, tmp_path, suffix, seed):
    model, inputs = random_network(keras, seed)
    model.save(tmp_path / f"model.{suffix}")
    x = single(rng.normal(size=(N, T, inputs)))
    assert_same(cgru.Sequential.from_keras(tmp_path / f"model.{suffix}")(x)[0], model(x), TOLERANCE)


def many_layers(keras, rng):
    """Several of a kind, in models and wrappers, and a skip: what the arrays' places in files hang on."""
    L = keras.layers
    inner = keras.Sequential([
        keras.Input((None, I)), L.Dense(5, name="dense_x"),
        L.Bidirectional(L.LSTM(3, return_sequences=True), name="two"), L.BatchNormalization(name="norm"),
        L.TimeDistributed(keras.Sequential([L.Dense(3), L.Dense(4, "elu")]), name="td"),
        L.RNN(L.GRUCell(5), return_sequences=True, name="cell"), L.BatchNormalization(scale=False), L.Dense(I),
    ], name="inner")  # fmt: skip
    x = keras.Input((None, I))
    y = L.Dense(6, use_bias=False)(L.Normalization()(inner(x)))
    y = L.TimeDistributed(L.Dense(I, "tanh"))(L.GRU(3, return_sequences=True, dropout=0.2)(L.Dropout(0.3)(y)))
    return randomised(keras.Model(x, L.Add()([x, y])), rng)


READ_WITHOUT_KERAS = WITHOUT_KERAS + """import numpy as np
import cgru
np.save(sys.argv[3], cgru.Sequential.from_keras(sys.argv[1])(np.load(sys.argv[2]))[0])
"""


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_file_read_without_keras(keras, rng, tmp_path, suffix):
    model, x = many_layers(keras, rng), single(rng.normal(size=(N, T, I)))
    model.save(tmp_path / f"model.{suffix}")
    np.save(tmp_path / "x.npy", x)
    names = (tmp_path / name for name in (f"model.{suffix}", "x.npy", "y.npy"))
    subprocess.run([sys.executable, "-P", "-c", READ_WITHOUT_KERAS, *names], check=True, timeout=120)
    assert_same(np.load(tmp_path / "y.npy"), model(x), TOLERANCE)
    assert chain_from_keras(tmp_path / f"model.{suffix}").skip


# ---- files of older versions, by hand


def z_r_h(array):
    """Canonical gates r, z, n stacked in rows, as Keras's z, r, h."""
    r, z, n = np.split(array, 3)
    return np.concatenate([z, r, n])


def keras_2(rng, *, add="TFOpLambda"):
    """A functional model as TensorFlow's Keras 2 writes it, lists as nodes: its configuration, arrays and outputs."""
    state = random_state(rng, 6, H)
    dense, head, mean = rng.normal(size=(I, 6)), rng.normal(size=(H, I)), rng.normal(size=I)
    bias, gamma, beta, variance = rng.normal(size=I), rng.normal(size=I), rng.normal(size=I), rng.uniform(1, 2, I)
    W, U, b, c = map(z_r_h, state.values())

    def entry(kind, name, below, **config):
        nodes = [[[one, 0, 0, {}] for one in below]] if below else []
        return {"class_name": kind, "config": {"name": name, **config}, "name": name, "inbound_nodes": nodes}

    inner = {"name": "inner", "layers": [
        entry("InputLayer", "input_2", [], batch_input_shape=[None, None, I]),
        entry("Dense", "dense", ["input_2"], units=6, activation="hard_sigmoid", use_bias=False),
    ], "input_layers": [["input_2", 0, 0]], "output_layers": [["dense", 0, 0]]}  # fmt: skip
    layers = [
        entry("InputLayer", "input_1", [], batch_input_shape=[None, None, I]),
        entry("Functional", "inner", ["input_1"]) | {"config": inner},
        entry("GRU", "gru", ["inner"], units=H, return_sequences=True, reset_after=True, time_major=False),
        entry("TimeDistributed", "td", ["gru"], layer=entry("Dense", "head", [], units=I, activation="linear")),
        entry("BatchNormalization", "bn", ["td"], axis=[2], epsilon=0.01),
        entry("Activation", "act", ["bn"], activation={"class_name": "LeakyReLU", "config": {"alpha": 0.25}}),
        entry(add, "plus", ["act"], function="math.add"),
    ]
    layers[2]["inbound_nodes"] = [[["inner", 1, 0, {"training": False}]]]      # a model's own call is counted
    layers[-1]["inbound_nodes"] = [["act", 0, 0, {"y": ["input_1", 0, 0], "name": None}]]
    if add == "Add":
        layers[-1]["inbound_nodes"] = [[["act", 0, 0, {}], ["input_1", 0, 0, {}]]]
    config = {"class_name": "Functional", "config": {
        "name": "model", "layers": layers, "input_layers": [["input_1", 0, 0]], "output_layers": [["plus", 0, 0]],
    }}  # fmt: skip
    arrays = {
        "inner": {"dense/kernel:0": dense},
        "gru": {f"gru/gru_cell/{name}:0": array for name, array in (
            ("kernel", W.T), ("recurrent_kernel", U.T), ("bias", np.stack([b, c])))},
        "td": {"td/kernel:0": head, "td/bias:0": bias},
        "bn": {"bn/gamma:0": gamma, "bn/beta:0": beta, "bn/moving_mean:0": mean, "bn/moving_variance:0": variance},
    }
    x = single(rng.normal(size=(N, T, I)))
    y, _ = reference.gru(hard_sigmoid(x @ dense), state, batch_first=True)
    y = (y @ head + bias - mean) / np.sqrt(variance + 0.01) * gamma + beta
    return config, arrays, x, np.where(y > 0, y, 0.25 * y) + x


@pytest.mark.parametrize("add", ["TFOpLambda", "Add"])
def test_a_functional_model_of_keras_2(rng, tmp_path, add):
    config, arrays, x, expected = keras_2(rng, add=add)
    write_h5(tmp_path / "old.h5", config, arrays, "2.11.0")
    network = cgru.Sequential.from_keras(tmp_path / "old.h5")
    assert network.skip
    assert_same(network(x)[0], expected, TOLERANCE)


def test_a_sequential_model_of_keras_1(rng, tmp_path):
    kernel, bias, head = rng.normal(size=(I, 3)), rng.normal(size=3), rng.normal(size=(3, 2))
    config = {"class_name": "Sequential", "config": [
        {"class_name": "TimeDistributed", "config": {"name": "td", "batch_input_shape": [None, T, I], "layer": {
            "class_name": "Dense", "config": {"name": "dense_1", "output_dim": 3, "activation": "hard_sigmoid"}}}},
        {"class_name": "LeakyReLU", "config": {"name": "act", "alpha": 0.1}},
        {"class_name": "Dense", "config": {"name": "dense_2", "output_dim": 2, "bias": False, "activation": "elu"}},
    ]}  # fmt: skip
    arrays = {"td": {"td_W": kernel, "td_b": bias}, "act": {}, "dense_2": {"dense_2_W": head}}
    write_h5(tmp_path / "old.h5", config, arrays, None, nested=False)
    x = single(rng.normal(size=(N, T, I)))
    y = hard_sigmoid(x @ kernel + bias) @ head
    expected = np.where(y > 0, y, np.expm1(y))
    assert_same(cgru.Sequential.from_keras(tmp_path / "old.h5")(x)[0], expected, TOLERANCE)


# ---- files that are no chain, or not to be trusted


def test_a_file_that_is_no_chain_is_named(keras, rng, tmp_path):
    L = keras.layers
    model = keras.Sequential([keras.Input((T, I)), L.Conv1D(3, 2, name="odd"), L.GRU(4)])
    x = keras.Input((None, I))
    branches = keras.Model(x, L.Concatenate(name="odd")([L.Dense(2)(x), L.Dense(3)(x)]))
    for number, one in enumerate((model, branches)):
        for suffix in ("keras", "h5"):
            path = tmp_path / f"model{number}.{suffix}"
            one.save(path)
            with pytest.raises(NotAChain) as raised:
                chain_from_keras(path)
            assert str(raised.value).startswith(f"{path}: layer 'odd' (") and "\n" not in str(raised.value)


def test_a_layer_of_somebody_else_s(keras, tmp_path):
    class Dense(keras.layers.Dense):
        def call(self, x):
            return super().call(x) ** 2

    own = keras.saving.register_keras_serializable("mine")(Dense)
    for number, kind in enumerate((Dense, own)):
        for suffix in ("keras", "h5"):
            path = tmp_path / f"model{number}.{suffix}"
            keras.Sequential([keras.Input((None, I)), kind(3, name="odd")]).save(path)
            with pytest.raises(NotAChain, match=r"layer 'odd' \(.*Dense\): no chain has such a layer"):
                chain_from_keras(path)


class Junk:
    """Changes of a configuration: each a key or an entry somewhere in it, dropped or replaced."""

    values = (
        None, True, 0, -1, 2**70, 0.5, float("nan"), "", "x", "Add", "GRU", [], {}, [[["gru", 0, 0, {}]]],
        ["gru", 0, 0],
    )  # fmt: skip

    def __init__(self, seed):
        self.random = random.Random(seed)

    def changed(self, tree):
        tree = copy.deepcopy(tree)
        for _ in range(self.random.randint(1, 3)):
            places = list(self.places(tree))
            parent, key = self.random.choice(places)
            if self.random.random() < 0.25:
                del parent[key]
            elif self.random.random() < 0.3:
                parent[key] = copy.deepcopy(self.random.choice(places)[0])
            else:
                parent[key] = copy.deepcopy(self.random.choice(self.values))
        return tree

    def places(self, tree):
        for key in range(len(tree)) if isinstance(tree, list) else list(tree):
            yield tree, key
            if isinstance(tree[key], list | dict):
                yield from self.places(tree[key])


@pytest.mark.filterwarnings("ignore")
def test_a_changed_configuration_is_read_or_refused(rng, tmp_path, monkeypatch):
    """The child process hands over whatever JSON a file holds: it makes a chain, or one line that names the file."""
    peer("h5py")
    config, arrays, *_ = keras_2(rng)
    path = tmp_path / "model.h5"
    write_h5(path, config, arrays, "2.11.0")
    network, refused = read_network(str(path)), 0
    for seed in range(1500):
        changed = network._replace(model=json.loads(json.dumps(Junk(seed).changed(network.model))))
        monkeypatch.setattr(keras_chain, "read_network", lambda path, changed=changed: changed)
        try:
            chain_from_keras(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error), (seed, error)
            refused += 1
    assert 300 < refused < 1500


def test_graphs_that_go_in_circles_or_nowhere(rng, tmp_path):
    peer("h5py")
    path = tmp_path / "model.h5"

    def refuse(reason, change, kind=ValueError):
        config, arrays, *_ = keras_2(np.random.default_rng(3))
        change({entry["name"]: entry for entry in config["config"]["layers"]}, config["config"])
        write_h5(path, config, arrays, "2.11.0")
        with pytest.raises(kind, match=rf"^{re.escape(str(path))}: {reason}"):
            chain_from_keras(path)

    def node(*names):
        return [[[name, 0, 0, {}] for name in names]]

    refuse("the layer 'act' depends on itself", lambda layers, _: layers["td"].update(inbound_nodes=node("act")))
    refuse("there is no layer 'void'", lambda layers, _: layers["td"].update(inbound_nodes=node("void")))
    refuse(r"layer 'td' \(Dense\) has no input", lambda layers, _: layers["td"].update(inbound_nodes=[]), NotAChain)
    refuse(r"layer 'td' \(Dense\) has 2 inputs", lambda layers, _: layers["td"].update(inbound_nodes=node("gru", "bn")))
    refuse("model 'model' has 0 outputs", lambda _, config: config.update(output_layers=[]), NotAChain)
    refuse(r"layer 'td' \(Dense\): it has units=9, but its kernel is for 4",
           lambda layers, _: layers["td"]["config"]["layer"]["config"].update(units=9))
    refuse("the configuration of this Keras model is incomplete",
           lambda layers, _: layers["plus"].update(inbound_nodes=[[7]]))
    refuse(r"layer 'gru' \(GRU\): it has time_major=True",
           lambda layers, _: layers["gru"]["config"].update(time_major=True))

    def sums(layers, config):
        """The same tensor added to itself, over and over: as many ways to it as 2 to the power of 200."""
        for number in range(200):
            below = f"sum{number - 1}" if number else "input_1"
            entry = {"class_name": "Add", "config": {}, "name": f"sum{number}"}
            config["layers"].append(entry | {"inbound_nodes": node(below, below)})
        config["output_layers"] = [["sum199", 0, 0]]

    refuse(r"layer 'sum0' \(Add\): it adds", sums, NotAChain)


def test_arrays_that_do_not_fit(rng, tmp_path):
    peer("h5py")
    path = tmp_path / "model.h5"
    for layer, weight, shape, reason in (
        ("bn", "bn/beta:0", (9,), r"layer 'bn' \(BatchNormalization\)"),
        ("td", "td/bias:0", (2, 2), r"layer 'td' \(Dense\): bias"),
        ("td", "td/kernel:0", (7,), r"layer 'td' \(Dense\): kernel has shape \(7,\)"),
        ("gru", "gru/gru_cell/kernel:0", (6, 14), r"layer 'gru' \(GRU\): kernel"),
        ("gru", "gru/gru_cell/kernel:0", (7, 15), r"layer 1 \(GRU\) takes 7 features, and layer 0 \(Linear\) gives 6"),
    ):  # fmt: skip
        config, arrays, *_ = keras_2(rng)
        arrays[layer][weight] = np.ones(shape)
        write_h5(path, config, arrays, "2.11.0")
        with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: {reason}"):
            chain_from_keras(path)
    config, arrays, *_ = keras_2(rng)
    del arrays["bn"]["bn/beta:0"]
    write_h5(path, config, arrays, "2.11.0")
    with pytest.raises(ValueError, match=r"layer 'bn' \(BatchNormalization\): it has 3 arrays, expected 4"):
        chain_from_keras(path)
