"""LSTM and SimpleRNN of Keras: live layers, models, files and arrays."""

import numpy as np
import pytest

import cgru
from support import reference
from support.keras_files import hard_sigmoid, write_h5
from support.models import planes, random_lengths, random_sizes, random_state
from support.peers import assert_same, peer, single

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")      # Keras's own
KERAS = {"LSTM": cgru.LSTM, "SimpleRNN": cgru.RNN}
both = pytest.mark.parametrize("name", KERAS)


@pytest.fixture(scope="module")
def keras():
    return peer("keras")


def randomised(layer, rng, shape):
    """The layer built for inputs of `shape`, with random weights, biases too."""
    layer.build(shape)
    layer.set_weights([rng.normal(size=w.shape) / np.sqrt(w.shape[-1] / 3) for w in layer.get_weights()])
    return layer


def states(rng, name, N, H, directions=1):
    """Keras's initial states, direction by direction; and the same for cgru."""
    count = 2 if name == "LSTM" else 1
    given = [single(rng.normal(size=(N, H))) for _ in range(count * directions)]
    ours = tuple(np.stack(given[plane::count]) for plane in range(count))
    return given, ours if count == 2 else ours[0]


def assert_final(end, final, name):
    """The states that Keras returns, direction by direction, are ours."""
    count = 2 if name == "LSTM" else 1
    for plane, got in enumerate(planes(end)):
        assert_same(got, np.stack([np.asarray(one) for one in final[plane::count]]))


@both
@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
def test_a_layer(keras, rng, name, use_bias, go_backwards):
    T, N, input_size, H = random_sizes(rng)
    x = single(rng.normal(size=(N, T, input_size)))
    options = {"use_bias": use_bias, "go_backwards": go_backwards}
    layer = getattr(keras.layers, name)(H, return_sequences=True, return_state=True, **options)
    given, hx = states(rng, name, N, H)
    expected, *final = randomised(layer, rng, x.shape)(x, initial_state=given)
    ours = cgru.from_keras(layer)
    assert type(ours) is KERAS[name] and ours.batch_first and ours.bias == use_bias
    y, end = ours(x, hx)
    assert_same(y, expected)
    assert_final(end, final, name)


@both
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
def test_a_mask_at_the_end_is_lengths(keras, rng, name, go_backwards):
    T, N, input_size, H = random_sizes(rng)
    x, lengths = single(rng.normal(size=(N, T, input_size))), random_lengths(rng, T, N)
    mask = np.arange(T) < lengths[:, None]
    layer = getattr(keras.layers, name)(
        H, return_sequences=True, return_state=True, zero_output_for_mask=True, go_backwards=go_backwards
    )
    expected, *final = randomised(layer, rng, x.shape)(x, mask=mask)
    y, end = cgru.from_keras(layer)(x, lengths=lengths)
    assert_same(y, expected)
    assert_final(end, final, name)


@both
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave"])
def test_bidirectional(keras, rng, name, merge_mode):
    T, N, input_size, H = random_sizes(rng)
    x = single(rng.normal(size=(N, T, input_size)))
    inner = getattr(keras.layers, name)(H, return_sequences=True, return_state=True)
    layer = randomised(keras.layers.Bidirectional(inner, merge_mode=merge_mode), rng, x.shape)
    given, hx = states(rng, name, N, H, 2)
    expected, *final = layer(x, initial_state=given)
    y, end = cgru.from_keras(layer)(x, hx)
    assert_same(y, expected)
    assert_final(end, final, name)


@both
def test_a_backward_layer_of_its_own(keras, rng, name):
    x = single(rng.normal(size=(3, 6, 4)))
    network = getattr(keras.layers, name)
    forward = network(5, return_sequences=True, activation="relu")
    backward = network(5, return_sequences=True, go_backwards=True, activation="softsign")
    layer = randomised(keras.layers.Bidirectional(forward, backward_layer=backward), rng, x.shape)
    assert_same(cgru.from_keras(layer)(x)[0], layer(x))
    other = keras.layers.GRU(5, return_sequences=True, go_backwards=True)
    mixed = keras.layers.Bidirectional(network(5, return_sequences=True), backward_layer=other)
    mixed.build(x.shape)
    with pytest.raises(ValueError, match=f"the two directions are {KERAS[name].__name__} and GRU"):
        cgru.from_keras(mixed)


ACTIVATIONS = ["sigmoid", "tanh", "hard_sigmoid", "relu", "linear", "softsign", "leaky_relu", "elu", "softplus", "silu",
               "gelu"]


@both
@pytest.mark.parametrize("function", ACTIVATIONS)
def test_activations(keras, rng, name, function):
    """An LSTM's activation is that of the candidate and of the cell state on its way out."""
    x = single(rng.normal(size=(3, 6, 4)))
    gates = {"recurrent_activation": "hard_sigmoid" if function == "tanh" else "sigmoid"} if name == "LSTM" else {}
    layer = getattr(keras.layers, name)(5, return_sequences=True, activation=function, **gates)
    expected = np.asarray(randomised(layer, rng, x.shape)(x))
    assert_same(cgru.from_keras(layer)(x)[0], expected, 2e-6 * max(1, abs(expected).max()))
    with pytest.raises(ValueError, match="mish"):
        cgru.from_keras(randomised(getattr(keras.layers, name)(5, activation="mish"), rng, x.shape))


@both
def test_an_rnn_around_a_cell(keras, rng, name):
    x = single(rng.normal(size=(3, 6, 4)))
    layer = keras.layers.RNN(getattr(keras.layers, f"{name}Cell")(5), return_sequences=True)
    ours = cgru.from_keras(randomised(layer, rng, x.shape))
    assert type(ours) is KERAS[name]
    assert_same(ours(x)[0], layer(x))


@both
def test_arrays_alone(keras, rng, name):
    """The recurrent kernel says whose they are."""
    x = single(rng.normal(size=(3, 6, 4)))
    network = getattr(keras.layers, name)
    for use_bias in (True, False):
        layer = randomised(network(5, return_sequences=True, use_bias=use_bias, go_backwards=True), rng, x.shape)
        ours = cgru.from_keras(layer.get_weights(), go_backwards=True)
        assert type(ours) is KERAS[name]
        assert_same(ours(x)[0], layer(x))
    layer = randomised(network(5, return_sequences=True, activation="softsign"), rng, x.shape)
    right = {"activations": ("sigmoid", "softsign")} if name == "LSTM" else {"nonlinearity": "softsign"}
    assert_same(cgru.from_keras(layer.get_weights(), **right)(x)[0], layer(x))
    wrong = {"nonlinearity": "relu"} if name == "LSTM" else {"activations": ("sigmoid", "relu")}
    with pytest.raises(ValueError, match=r"is for an RNN; these are LSTM weights|RNN has one function"):
        cgru.from_keras(layer.get_weights(), **wrong)
    with pytest.raises(ValueError, match="has no option reset_after; got False"):
        cgru.from_keras(layer.get_weights(), reset_after=False)
    with pytest.raises(ValueError, match=r"bias has shape \(3,\)"):
        cgru.from_keras([*layer.get_weights()[:2], np.ones(3)])


def test_arrays_of_nothing():
    with pytest.raises(ValueError, match=r"recurrent_kernel has shape \(5, 14\), expected 3 .* for a GRU, .* an RNN"):
        cgru.from_keras([np.ones((3, 14)), np.ones((5, 14))])
    with pytest.raises(ValueError, match=r"a GRU, LSTM or SimpleRNN has 2 or 3 arrays, .*; got 4"):
        cgru.from_keras([np.ones((3, 3))] * 4)


def a_model(keras, rng):
    """A layer of each kind, one in an inner model."""
    layers = keras.layers
    inner = [keras.Input((None, 10)), layers.SimpleRNN(7, name="plain", return_sequences=True, use_bias=False)]
    model = keras.Sequential([
        keras.Input((None, 4)), layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="long"),
        keras.Sequential(inner, name="inner"), layers.GRU(3, name="memory"),
    ])  # fmt: skip
    model.set_weights([rng.normal(size=w.shape) / 2 for w in model.get_weights()])
    return model


@pytest.mark.filterwarnings("ignore:You are saving")
@pytest.mark.parametrize("suffix", ["live", "keras", "h5"])
def test_a_model_and_its_files(keras, rng, tmp_path, suffix):
    """By name; a GRU is not preferred."""
    model = a_model(keras, rng)
    source = model
    if suffix != "live":
        peer("h5py")
        source = tmp_path / f"model.{suffix}"
        model.save(source)
    plain = model.get_layer("inner").get_layer("plain")
    for name, size, layer in (("long", 4, model.get_layer("long")), ("inner/plain", 10, plain), ("plain", 10, plain)):
        x = single(rng.normal(size=(3, 6, size)))
        assert_same(cgru.from_keras(source, name)(x)[0], layer(x))
    with pytest.raises(ValueError, match=r"several recurrent layers: 'long', 'inner/plain', 'memory'; choose one with"):
        cgru.from_keras(source)
    assert type(cgru.from_keras(source, "memory")) is cgru.GRU
    if suffix != "live":
        x = single(rng.normal(size=(3, 6, 4)))      # all of it is a chain
        assert_same(cgru.load(source)(x)[0], model(x))


# ---- files of older versions, by hand


def i_f_c_o(array):
    """Canonical gates i, f, g, o apart, by Keras's letters."""
    return dict(zip("ifco", np.split(array, 4), strict=True))


@pytest.mark.parametrize("wrapped", [False, True], ids=["one", "bidirectional"])
def test_an_lstm_of_keras_1(rng, tmp_path, wrapped):
    """Twelve arrays: i, c, f, o."""
    I, H = 4, 5  # noqa: E741
    state = random_state(rng, I, H, bidirectional=wrapped, kind="lstm")
    for name in [name for name in state if "bias_hh" in name]:
        state[name] = np.zeros_like(state[name])
    arrays = {}
    for direction in ["", "_reverse"][: 1 + wrapped]:
        W, U, b = (i_f_c_o(state[f"{name}_l0{direction}"]) for name in ("weight_ih", "weight_hh", "bias_ih"))
        for letter in "icfo":
            arrays |= {
                f"lstm_1{direction}_W_{letter}": W[letter].T,
                f"lstm_1{direction}_U_{letter}": U[letter].T,
                f"lstm_1{direction}_b_{letter}": b[letter],
            }
    config = {"name": "lstm_1", "output_dim": H, "activation": "tanh", "inner_activation": "hard_sigmoid"}
    entry = {"class_name": "LSTM", "config": config}
    if wrapped:
        entry = {"class_name": "Bidirectional", "config": {"name": "lstm_1", "layer": entry, "merge_mode": "concat"}}
    write_h5(tmp_path / "old.h5", {"class_name": "Sequential", "config": [entry]}, {"lstm_1": arrays}, None)
    x = single(rng.normal(size=(3, 6, I)))
    expected, _ = reference.lstm(x, state, batch_first=True, f=hard_sigmoid)
    assert_same(cgru.from_keras(tmp_path / "old.h5")(x)[0], expected)
    if not wrapped:
        assert_same(cgru.from_keras([single(array) for array in arrays.values()])(x)[0], expected)


def test_an_lstm_of_keras_2(rng, tmp_path):
    I, H = 4, 5  # noqa: E741
    state = random_state(rng, I, H, kind="lstm")
    state["bias_hh_l0"] = np.zeros_like(state["bias_hh_l0"])
    W, U, b, _ = state.values()
    arrays = {"lstm/kernel:0": W.T, "lstm/recurrent_kernel:0": U.T, "lstm/bias:0": b}
    config = {"name": "lstm", "units": H, "activation": "linear", "recurrent_activation": "hard_sigmoid"}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "LSTM", "config": config}]}}
    write_h5(tmp_path / "old.h5", config, {"lstm": arrays}, "2.2.4")
    x = single(rng.normal(size=(3, 6, I)))
    linear = {"g": lambda a: a, "h": lambda a: a}
    expected, _ = reference.lstm(x, state, batch_first=True, f=hard_sigmoid, **linear)
    assert_same(cgru.from_keras(tmp_path / "old.h5")(x)[0], expected)
    assert_same(cgru.load(tmp_path / "old.h5")(x)[0], expected)


@pytest.mark.parametrize("version", [None, "2.2.4"], ids=["Keras 1", "Keras 2"])
def test_a_simple_rnn_of_old(rng, tmp_path, version):
    I, H = 4, 5  # noqa: E741
    state = random_state(rng, I, H, kind="rnn")
    state["bias_hh_l0"] = np.zeros_like(state["bias_hh_l0"])
    W, U, b, _ = state.values()
    names = ("W", "U", "b") if version is None else ("kernel:0", "recurrent_kernel:0", "bias:0")
    arrays = dict(zip((f"simple_rnn_1/{name}" for name in names), (W.T, U.T, b), strict=True))
    size = "output_dim" if version is None else "units"
    layers = [{"class_name": "SimpleRNN", "config": {"name": "simple_rnn_1", size: H, "activation": "relu"}}]
    config = {"class_name": "Sequential", "config": layers if version is None else {"name": "s", "layers": layers}}
    write_h5(tmp_path / "old.h5", config, {"simple_rnn_1": arrays}, version)
    x = single(rng.normal(size=(3, 6, I)))
    expected, _ = reference.rnn(x, state, batch_first=True, nonlinearity="relu")
    assert_same(cgru.from_keras(tmp_path / "old.h5")(x)[0], expected)
