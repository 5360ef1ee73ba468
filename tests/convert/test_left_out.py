"""What else a source holds is named in one warning, unless the network was asked for by its name."""

import json
import re
import warnings

import numpy as np
import pytest

import cgru
from support.models import random_state
from support.onnx_models import single_node
from support.peers import peer, single
from support.processes import run_cgru

I, H = 3, 5  # noqa: E741


def state_of(prefix=""):
    return {prefix + name: single(array) for name, array in random_state(np.random.default_rng(3), I, H).items()}


HEAD = {f"head.{name}": np.ones(shape, np.float32) for name, shape in (("weight", (2, H)), ("bias", 2))}


@pytest.fixture(autouse=True)
def keras_is_quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


def assert_named(read, *names, count=None):
    """``read()`` warns once, in one line, and names exactly these, and what it read."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        model = read()
    texts = [str(one.message) for one in caught if one.category is UserWarning]
    assert len(texts) == 1, texts
    assert "\n" not in texts[0] and texts[0].startswith(f"only the {type(model).__name__} is read, ")
    listed = re.search(r"left out are (.*?)( and \d+ more)?; ", texts[0])
    assert listed and tuple(listed[1].split(", ")) == names, texts[0]
    assert (listed[2] or "") == (f" and {count} more" if count else "")
    assert caught[-1].filename == __file__      # the caller's line, not one of cgru's


# ---- PyTorch


def net():
    torch = peer("torch")
    torch.manual_seed(0)
    return torch.nn.ModuleDict({"gru": torch.nn.GRU(I, H), "head": torch.nn.Linear(H, 2)})


def test_a_module_and_its_state_dict(torch):
    module = net()
    for source in (module, module.state_dict(), state_of("gru.") | HEAD):
        assert_named(lambda source=source: cgru.from_torch(source), "head.weight", "head.bias")
        assert cgru.from_torch(source, prefix="gru").hidden_size == H
    assert cgru.from_torch(module["gru"]).hidden_size == H
    assert cgru.from_torch(module["gru"].state_dict()).hidden_size == H


def test_what_a_module_computes_without_parameters(torch):
    nn = torch.nn
    inner = nn.Sequential(nn.Identity(), nn.Tanh())
    module = nn.ModuleDict({"gru": nn.GRU(I, H), "drop": nn.Dropout(0.5), "inner": inner, "loss": nn.MSELoss()})
    assert_named(lambda: cgru.from_torch(module), "inner.1 (Tanh)")
    module["head"] = nn.Linear(H, 2)
    assert_named(lambda: cgru.from_torch(module), "head.weight", "head.bias", "inner.1 (Tanh)")
    assert cgru.from_torch(module, prefix="gru").hidden_size == H
    with pytest.warns(UserWarning, match=r"cgru\.Sequential\.from_torch reads the whole network"):
        cgru.from_torch(module)


def test_at_the_root_and_below_a_similar_name():
    state = state_of() | {"xx.weight_ih_l0": np.ones((7, 2)), "n": np.float32(3)}
    assert_named(lambda: cgru.from_torch(state), "xx.weight_ih_l0")
    assert cgru.from_torch(state, prefix="").hidden_size == H
    assert_named(lambda: cgru.from_torch(state_of("a.") | {"b.bias_ih_l0": np.ones(3)}), "b.bias_ih_l0")


def test_the_first_few_then_a_count():
    state = state_of() | {f"extra{i}": np.ones(2) for i in range(9)}
    assert_named(lambda: cgru.from_torch(state), *(f"extra{i}" for i in range(4)), count=5)


@pytest.mark.parametrize("suffix", ["pt", "safetensors", "npz"])
def test_files_of_a_state_dict(torch, tmp_path, suffix):
    state, path = state_of("gru.") | HEAD, tmp_path / f"model.{suffix}"
    if suffix == "pt":
        torch.save({name: torch.from_numpy(array) for name, array in state.items()}, path)
    elif suffix == "npz":
        np.savez(path, **state)
    else:
        peer("safetensors.numpy").save_file(state, path)
    names = sorted(HEAD) if suffix == "safetensors" else list(HEAD)
    assert_named(lambda: cgru.from_torch(path), *names)
    assert_named(lambda: cgru.load(path), *names)
    assert cgru.from_torch(path, prefix="gru.").hidden_size == H
    done = run_cgru("info", path)
    assert done.returncode == 0
    assert done.stderr.startswith("cgru: warning: only the GRU is read") and done.stderr.count("\n") == 1
    assert all(name in done.stderr for name in HEAD)
    assert run_cgru("info", path, "--name", "gru.").stderr == ""


def test_an_optimizer_s_state_is_no_part_of_a_model():
    slots = {"optimizer": {"state": {0: {"exp_avg": np.ones((3, 3))}}}, "optim.lr": np.ones(3)}
    checkpoint = {"model": state_of()} | slots
    assert cgru.from_torch(checkpoint).hidden_size == H


def test_an_own_file_does_not_warn(tmp_path):
    cgru.GRU(I, H, rng=0).save(tmp_path / "model.safetensors")
    assert cgru.load(tmp_path / "model.safetensors").hidden_size == H


# ---- Keras


def keras_model():
    keras = peer("keras")
    layers = keras.layers
    inner = [keras.Input((None, I)), layers.GRU(H, name="memory", return_sequences=True), layers.Dropout(0.1)]
    inner = keras.Sequential([*inner, layers.LayerNormalization(name="norm")], name="inner")
    after = [layers.Conv1D(4, 1, name="wide"), layers.Dense(2, name="head")]
    return keras.Sequential([keras.Input((None, I)), inner, *after])


@pytest.mark.filterwarnings("ignore:You are saving")
def test_keras(tmp_path):
    peer("h5py")
    model = keras_model()
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    for source in (model, tmp_path / "model.keras", tmp_path / "model.h5"):
        assert_named(lambda source=source: cgru.from_keras(source), "inner/norm", "wide", "head")
        assert cgru.from_keras(source, "memory").hidden_size == H
    assert_named(lambda: cgru.load(tmp_path / "model.h5"), "inner/norm", "wide", "head")
    assert cgru.from_keras(model.layers[0].layers[0]).hidden_size == H


@pytest.mark.filterwarnings("ignore:You are saving")
def test_keras_layers_without_weights(tmp_path):
    """What changes the outputs is named, and what reads the whole network; a Dropout or a linear Activation is not."""
    keras = peer("keras")
    peer("h5py")
    L = keras.layers
    norm = L.Normalization(mean=[0.0] * I, variance=[1.0] * I, name="norm")
    passed = [L.Dropout(0.1), L.Activation("linear"), L.GaussianNoise(0.1)]
    after = [L.Activation("tanh", name="bend"), L.ReLU(name="cut"), L.Softmax(name="soft")]
    model = keras.Sequential([keras.Input((None, I)), norm, *passed, L.GRU(H, name="gru"), *after])
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    for source in (model, tmp_path / "model.keras", tmp_path / "model.h5"):
        assert_named(lambda source=source: cgru.from_keras(source), "norm", "bend", "cut", "soft")
        with pytest.warns(UserWarning, match=r"; cgru\.Sequential\.from_keras reads the whole network, "):
            cgru.from_keras(source)
        assert cgru.from_keras(source, "gru").hidden_size == H
    x = keras.Input((None, I))
    y = L.GRU(I, return_sequences=True)(L.Masking()(x))
    assert cgru.from_keras(keras.Model(x, y)).hidden_size == I
    skip = keras.Model(x, y + x)
    skip.save(tmp_path / "skip.keras")
    for source in (skip, tmp_path / "skip.keras"):
        assert_named(lambda source=source: cgru.from_keras(source), skip.operations[-1].name)


# ---- ONNX


def with_a_linear(onnx, before):
    """A model with a MatMul and an Add after its GRU, or before it."""
    model = single_node(onnx, state_of())
    graph, node = model.graph, onnx.helper.make_node
    if before:
        graph.node[0].input[0] = "added"
        start, end = "X", "added"
    else:
        start, end = graph.node[0].output[0], "z"
        graph.output[0].name = end
    graph.node.extend([
        node("Identity", ["weight"], ["same"]), node("MatMul", [start, "same"], ["product"]),
        node("Add", ["product", "bias"], [end]), node("MatMul", [start, "unused"], ["nowhere"]),
    ])  # fmt: skip
    size = (I, I) if before else (H, 2)
    for name, array in {"weight": np.ones(size), "bias": np.ones(size[1]), "unused": np.ones(size)}.items():
        graph.initializer.append(onnx.numpy_helper.from_array(single(array), name))
    return model


def test_an_lstm_or_rnn_of_keras(tmp_path):
    keras = peer("keras")
    peer("h5py")
    for network in (keras.layers.LSTM, keras.layers.SimpleRNN):
        layers = [network(H, name="memory"), keras.layers.Dense(2, name="head")]
        model = keras.Sequential([keras.Input((None, I)), *layers])
        model.save(tmp_path / "model.keras")
        for source in (model, tmp_path / "model.keras"):
            assert_named(lambda source=source: cgru.from_keras(source), "head")


@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
def test_onnx(tmp_path, before):
    onnx = peer("onnx")
    model = with_a_linear(onnx, before)
    named = ("MatMul 'product'", f"Add '{'added' if before else 'z'}'")
    assert_named(lambda: cgru.from_onnx(model), *named)
    assert cgru.from_onnx(model, "gru").hidden_size == H
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert len(cgru.load(tmp_path / "model.onnx").layers) == 2      # the whole is a chain


def test_onnx_names_what_has_no_weights(tmp_path):
    """An activation changes the outputs as much; sizes and what only moves axes do not."""
    onnx = peer("onnx")
    model = single_node(onnx, state_of())
    graph, node = model.graph, onnx.helper.make_node
    graph.output[0].name = "z"
    graph.node.extend([
        node("Squeeze", ["Y"], ["moved"], axes=[1]), node("Softmax", ["moved"], ["soft"], name="soft"),
        node("Shape", ["soft"], ["shape"]), node("Mul", ["shape", "one"], ["same"]),
        node("Reshape", ["soft", "same"], ["shaped"]), node("Sigmoid", ["shaped"], ["z"]),
    ])  # fmt: skip
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(1), "one"))
    assert_named(lambda: cgru.from_onnx(model), "Softmax 'soft'", "Sigmoid 'z'")


@pytest.mark.parametrize("options", [
    {}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True, "clip": 2.0}, {"go_backwards": True},
], ids=str)  # fmt: skip
def test_a_model_that_cgru_wrote_does_not_warn(tmp_path, options):
    peer("onnx")
    for choice in ({}, {"h_0": False, "lengths": True}):
        cgru.GRU(I, H, rng=0, **options).to_onnx(tmp_path / "model.onnx", **choice)
        assert cgru.from_onnx(tmp_path / "model.onnx").hidden_size == H


# ---- trees of parameters, RTNeural


def tree(*names, shapes):
    return {name: np.ones(shape, np.float32) for name, shape in zip(names, shapes, strict=True)}


MLX = tree("Wx", "Wh", shapes=[(3 * H, I), (3 * H, H)])
HAIKU = tree("w_i", "w_h", "b", shapes=[(I, 3 * H), (H, 3 * H), 3 * H])
TENSORFLOW1 = tree(
    "gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias", shapes=[(I + H, 2 * H), 2 * H, (I + H, H), H]
)
MLX_LSTM = tree("Wx", "Wh", "bias", shapes=[(4 * H, I), (4 * H, H), 4 * H])
FLAX = {gate: tree("kernel", shapes=[(H if gate[0] == "h" else I, H)]) for gate in ("ir", "iz", "in", "hr", "hz", "hn")}


@pytest.mark.parametrize("door, parameters", [
    (cgru.from_mlx, MLX), (cgru.from_mlx, MLX_LSTM), (cgru.from_haiku, HAIKU), (cgru.from_flax, FLAX),
    (cgru.from_tensorflow1, TENSORFLOW1),
])  # fmt: skip
def test_trees(door, parameters):
    source = {"net": parameters, "dense": {"kernel": np.ones((H, 2))}, "global_step": np.int64(7)}
    assert_named(lambda: door(source), "dense/kernel")
    assert door(source, "net").hidden_size == H
    assert door({"net": parameters}).hidden_size == H


def test_an_optimizer_s_slots_are_no_other_arrays():
    slots = {f"{name}/Adam": array for name, array in TENSORFLOW1.items()}
    assert cgru.from_tensorflow1(TENSORFLOW1 | slots | {"beta1_power": np.float32(1)}).hidden_size == H


def test_rtneural(tmp_path):
    gru = {"type": "gru", "weights": [np.ones(shape).tolist() for shape in ((I, 3 * H), (H, 3 * H), (2, 3 * H))]}
    model = {"layers": [gru, {"type": "activation", "weights": []}, {"type": "dense", "weights": [[[0.5]] * H, [0.1]]}]}
    (tmp_path / "model.json").write_text(json.dumps(model))
    for source in (model, tmp_path / "model.json"):
        assert_named(lambda source=source: cgru.from_rtneural(source), "dense (layer 2)")
        assert cgru.from_rtneural(source, 0).hidden_size == H


# ---- names that are none


@pytest.mark.parametrize("call", [
    lambda path: cgru.from_torch(path, prefix=["a", "b"]), lambda path: cgru.from_mlx(path, ["a", "b"]),
    lambda path: cgru.from_haiku({"a": HAIKU}, ["a", "b"]), lambda path: cgru.from_flax({"a": FLAX}, ["a", "b"]),
    lambda path: cgru.from_rtneural({"layers": [{"type": "gru"}]}, ["a", "b"]),
], ids=["torch", "mlx", "haiku", "flax", "rtneural"])  # fmt: skip
def test_several_names(call, tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, **state_of())
    with pytest.raises(TypeError, match=r"(prefix|name|layer) must be .*; got \['a', 'b'\]: several .* one after the"):
        call(path)


def test_several_layers_of_keras(tmp_path):
    keras = peer("keras")
    peer("h5py")
    layers = [keras.layers.GRU(H, name=name, return_sequences=True) for name in ("gru_1", "gru_2")]
    model = keras.Sequential([keras.Input((None, I)), *layers])
    model.save(tmp_path / "model.keras")
    for source in (model, tmp_path / "model.keras"):
        with pytest.raises(TypeError, match=r"^layer must be .* one network; got \['gru_1', 'gru_2'\]: several"):
            cgru.from_keras(source, ["gru_1", "gru_2"])
