"""From live Keras: layers and models."""

import numpy as np
import pytest

import cgru
from support.keras_models import a_model
from support.models import random_lengths, random_sizes
from support.peers import assert_same, peer, single

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")      # Keras's own


@pytest.fixture(scope="module")
def keras():
    return peer("keras")


def randomised(layer, rng, shape):
    """The layer built for inputs of `shape`, with random weights, biases too."""
    layer.build(shape)
    layer.set_weights([rng.normal(size=w.shape) / np.sqrt(w.shape[-1] / 3) for w in layer.get_weights()])
    return layer


def states(rng, N, H, count):
    return [single(rng.normal(size=(N, H))) for _ in range(count)]


@pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
def test_a_layer(keras, rng, reset_after, use_bias, go_backwards):
    T, N, input_size, H = random_sizes(rng)
    x = single(rng.normal(size=(N, T, input_size)))
    options = {"reset_after": reset_after, "use_bias": use_bias, "go_backwards": go_backwards}
    layer = randomised(keras.layers.GRU(H, return_sequences=True, return_state=True, **options), rng, x.shape)
    (h_0,) = states(rng, N, H, 1)
    ours = cgru.from_keras(layer)
    assert ours.batch_first and ours.bias == use_bias and ours.reset_after == reset_after
    expected = layer(x, initial_state=h_0)
    y, h_n = ours(x, h_0[None])
    assert_same(y, expected[0])
    assert_same(h_n[0], expected[1])


def test_the_last_output_alone_is_h_n(keras, rng):
    x = single(rng.normal(size=(3, 6, 4)))
    layer = randomised(keras.layers.GRU(5), rng, x.shape)
    assert_same(cgru.from_keras(layer)(x)[1][0], layer(x))


def test_a_mask_at_the_end_is_lengths(keras, rng):
    T, N, input_size, H = random_sizes(rng)
    x, lengths = single(rng.normal(size=(N, T, input_size))), random_lengths(rng, T, N)
    mask = np.arange(T) < lengths[:, None]
    layer = keras.layers.GRU(H, return_sequences=True, return_state=True, zero_output_for_mask=True)
    for go_backwards in (False, True):
        layer = keras.layers.GRU(
            H, return_sequences=True, return_state=True, zero_output_for_mask=True, go_backwards=go_backwards
        )
        expected = randomised(layer, rng, x.shape)(x, mask=mask)
        y, h_n = cgru.from_keras(layer)(x, lengths=mask.sum(axis=1))
        assert_same(y, expected[0])
        assert_same(h_n[0], expected[1])


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave"])
@pytest.mark.parametrize("masked", [False, True], ids=["full", "masked"])
def test_bidirectional(keras, rng, merge_mode, masked):
    T, N, input_size, H = random_sizes(rng)
    x, lengths = single(rng.normal(size=(N, T, input_size))), random_lengths(rng, T, N) if masked else None
    inner = keras.layers.GRU(H, return_sequences=True, return_state=True)
    layer = randomised(keras.layers.Bidirectional(inner, merge_mode=merge_mode), rng, x.shape)
    h_0 = states(rng, N, H, 2)
    mask = np.arange(T) < lengths[:, None] if masked else None
    expected, *ends = layer(x, initial_state=h_0, mask=mask)
    y, h_n = cgru.from_keras(layer)(x, np.stack(h_0), lengths=lengths)
    assert_same(y, expected)
    assert_same(h_n, np.stack(ends))


def test_a_backward_layer_of_its_own(keras, rng):
    x = single(rng.normal(size=(3, 6, 4)))
    forward = keras.layers.GRU(5, return_sequences=True, activation="relu")
    backward = keras.layers.GRU(5, return_sequences=True, go_backwards=True, recurrent_activation="hard_sigmoid")
    layer = randomised(keras.layers.Bidirectional(forward, backward_layer=backward), rng, x.shape)
    assert_same(cgru.from_keras(layer)(x)[0], layer(x))
    with pytest.raises(ValueError, match="merge_mode=None"):
        cgru.from_keras(randomised(keras.layers.Bidirectional(keras.layers.GRU(5), merge_mode=None), rng, x.shape))


ACTIVATIONS = ["sigmoid", "tanh", "hard_sigmoid", "relu", "linear", "softsign", "leaky_relu", "elu", "softplus", "silu",
               "gelu"]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(keras, rng, name):
    x = single(rng.normal(size=(3, 6, 4)))
    gate = name if name in ("sigmoid", "hard_sigmoid", "softsign") else "sigmoid"
    for reset_after in (True, False):
        layer = keras.layers.GRU(
            5, return_sequences=True, activation=name, recurrent_activation=gate, reset_after=reset_after
        )
        assert_same(cgru.from_keras(randomised(layer, rng, x.shape))(x)[0], layer(x))


def test_activation_layers_and_functions(keras, rng):
    x = single(rng.normal(size=(3, 6, 4)))
    layers = keras.layers
    for activation in (layers.LeakyReLU(negative_slope=0.07), layers.ELU(alpha=0.8), keras.activations.relu, None):
        layer = randomised(keras.layers.GRU(5, return_sequences=True, activation=activation), rng, x.shape)
        assert_same(cgru.from_keras(layer)(x)[0], layer(x))
    with pytest.raises(ValueError, match="mish"):
        cgru.from_keras(randomised(keras.layers.GRU(5, activation="mish"), rng, x.shape))
    with pytest.warns(UserWarning), pytest.raises(ValueError, match=r"activation .* is not supported"):
        cgru.from_keras(randomised(keras.layers.GRU(5, activation=lambda a: a * a), rng, x.shape))


def test_an_rnn_around_a_cell(keras, rng):
    x = single(rng.normal(size=(3, 6, 4)))
    layer = keras.layers.RNN(keras.layers.GRUCell(5, reset_after=False), return_sequences=True)
    assert_same(cgru.from_keras(randomised(layer, rng, x.shape))(x)[0], layer(x))


def test_a_model_by_layer_name(keras, rng):
    model = a_model(keras, rng)
    x = single(rng.normal(size=(3, 6, 4)))
    inner = model.get_layer("inner")
    assert_same(cgru.from_keras(model, "first")(x)[0], model.get_layer("first")(x))
    for name in ("second", "inner/second"):
        between = single(rng.normal(size=(3, 6, 10)))
        assert_same(cgru.from_keras(model, name)(between)[0], inner.get_layer("second")(between))
    with pytest.raises(ValueError, match=r"'first', 'inner/second', 'inner/third'; choose one with layer="):
        cgru.from_keras(model)
    with pytest.raises(ValueError, match=r"layer='fourth'.*'first'"):
        cgru.from_keras(model, "fourth")
    with pytest.raises(ValueError, match="no GRU, RNN or LSTM layer"):
        cgru.from_keras(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))


def test_arrays_alone(keras, rng):
    x = single(rng.normal(size=(3, 6, 4)))
    for reset_after, use_bias in ((True, True), (False, True), (True, False)):
        layer = keras.layers.GRU(5, return_sequences=True, reset_after=reset_after, use_bias=use_bias)
        expected = randomised(layer, rng, x.shape)(x)
        assert_same(cgru.from_keras(layer.get_weights())(x)[0], expected)
    options = {"use_bias": False, "reset_after": False, "go_backwards": True, "activation": "relu"}
    layer = keras.layers.GRU(5, return_sequences=True, **options)
    expected = randomised(layer, rng, x.shape)(x)
    ours = cgru.from_keras(
        layer.get_weights(), reset_after=False, go_backwards=True, activations=("sigmoid", "relu")
    )
    assert_same(ours(x)[0], expected)
