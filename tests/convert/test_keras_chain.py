"""Whole networks of live Keras: a chain has Keras's own outputs; what is none is refused by its layer's name."""

import re

import numpy as np
import pytest

import cgru
from cgru.convert._errors import NotAChain
from cgru.convert.keras_chain import chain_from_keras
from support.keras_models import random_network, randomised
from support.models import random_lengths
from support.peers import assert_same, peer, single

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")      # Keras's own

TOLERANCE = 1e-5
T, N, I = 7, 4, 3  # noqa: E741


@pytest.fixture(scope="module")
def keras():
    return peer("keras")


def an_input(rng, features=I, steps=T):
    return single(rng.normal(size=(N, steps, features)))


def assert_outputs(model, x, tolerance=TOLERANCE):
    """The network has the model's outputs; it is returned."""
    network = cgru.Sequential.from_keras(model)
    assert network.batch_first and network.input_size == x.shape[-1]
    assert_same(network(x)[0], model(x), tolerance)
    return network


def sequential(keras, rng, *layers, shape=(None, I)):
    return randomised(keras.Sequential([keras.Input(shape), *layers]), rng)


def kinds(network):
    return [type(layer).__name__ for layer in network.layers]


@pytest.mark.parametrize("seed", range(15))
def test_random_networks(keras, rng, seed):
    model, inputs = random_network(keras, seed)
    assert_outputs(model, an_input(rng, inputs))


def test_the_random_networks_are_of_all_sorts(keras):
    chains = [chain_from_keras(random_network(keras, seed)[0]) for seed in range(15)]
    assert {chain.last for chain in chains} == {False, True, "h_n"}
    assert {layer.config.cell.name for chain in chains for layer in chain.layers} == {"GRU", "LSTM", "RNN", "Linear"}
    assert any(len(chain.recurrent) > 1 for chain in chains)


# ---- activations


NAMES = [
    "relu", "tanh", "sigmoid", "softmax", "elu", "silu", "swish", "gelu", "hard_sigmoid", "leaky_relu", "softplus",
    "softsign", "linear", "selu", "hard_tanh", "relu6", "log_sigmoid", "celu", None,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_activations(keras, rng, name):
    L = keras.layers
    layers = [L.Activation(name), L.Dense(5, name), L.Activation(name), L.Dense(2), L.Activation(name)]
    model = sequential(keras, rng, *layers)
    model.layers[1].kernel.assign(model.layers[1].kernel * 5)      # some values where the functions bend
    assert_outputs(model, an_input(rng))


@pytest.mark.parametrize("layer", [
    lambda L: L.ReLU(), lambda L: L.ReLU(negative_slope=0.2), lambda L: L.ReLU(max_value=0.7), lambda L: L.LeakyReLU(),
    lambda L: L.LeakyReLU(0.15), lambda L: L.ELU(), lambda L: L.ELU(0.4), lambda L: L.Softmax(), lambda L: L.Softmax(2),
    lambda L: L.Dense(4, activation=L.LeakyReLU(0.05)), lambda L: L.Rescaling(0.5, offset=1.5),
])  # fmt: skip
def test_activation_layers(keras, rng, layer):
    L = keras.layers
    assert_outputs(sequential(keras, rng, L.Dense(5), layer(L)), an_input(rng))
    assert_outputs(sequential(keras, rng, layer(L), L.Dense(2)), an_input(rng))


def test_operations_of_a_functional_model(keras, rng):
    ops, L = keras.ops, keras.layers
    functions = [
        ops.tanh, ops.sigmoid, ops.relu, ops.silu, ops.gelu, lambda x: ops.gelu(x, approximate=False), ops.softmax,
        lambda x: ops.leaky_relu(x, negative_slope=0.3), lambda x: ops.elu(x, alpha=0.6), lambda x: 2.5 * x,
        lambda x: x + 0.5,
    ]  # fmt: skip
    for function in functions:
        x = keras.Input((None, I))
        assert_outputs(randomised(keras.Model(x, function(L.Dense(4)(x))), rng), an_input(rng))


@pytest.mark.parametrize("name, line", [
    ("exponential", "np.exp(x)"), ("mish", "np.tanh"), ("hard_silu", "np.clip"), ("log_softmax", "np.log"),
    ("squareplus", "np.sqrt"), ("sparse_plus", "np.where"), ("tanh_shrink", "x - np.tanh(x)"),
])  # fmt: skip
def test_activations_that_there_are_not(keras, rng, name, line):
    model = sequential(keras, rng, keras.layers.Dense(3, name, name="odd"))
    named = rf"^layer 'odd' \(Dense\): its activation '{name}' .*{re.escape(line)}"
    with pytest.raises(NotAChain, match=named) as raised:
        chain_from_keras(model)
    x = single(rng.normal(size=(2, 5))) * 2
    by_hand = eval(str(raised.value).partition("x = ")[2], {"np": np, "x": x})
    assert_same(by_hand, getattr(keras.activations, name)(x), 1e-6)


# ---- normalisers


PLACES = ["before a GRU", "behind a GRU", "before a Dense", "behind a Dense", "alone", "at the end"]


@pytest.mark.parametrize("place", PLACES)
def test_batch_normalization(keras, rng, place):
    L = keras.layers
    norm, gru = L.BatchNormalization(epsilon=0.01), L.GRU(4, return_sequences=True)
    layers = {
        "before a GRU": [norm, gru], "behind a GRU": [gru, norm],
        "before a Dense": [norm, L.Dense(4)], "behind a Dense": [L.Dense(4), norm, L.Activation("tanh")],
        "alone": [norm], "at the end": [L.GRU(4), norm, L.Dense(2)],
    }[place]  # fmt: skip
    network = assert_outputs(sequential(keras, rng, *layers), an_input(rng))
    assert kinds(network).count("Linear") == 1      # folded into the Dense, where there is one


@pytest.mark.parametrize("options", [
    {}, {"invert": True}, {"axis": None}, {"mean": [1.0, -2.0, 0.5], "variance": [4.0, 0.25, 0.0]},
    {"mean": 0.5, "variance": 3.0, "axis": None}, {"mean": 0.5, "variance": 3.0, "invert": True}, {"axis": (2,)},
], ids=str)  # fmt: skip
def test_normalization(keras, rng, options):
    norm = keras.layers.Normalization(**options)
    if "mean" not in options:
        norm.adapt(rng.normal(size=(50, 5, I)) * [3, 1, 0.2] + [1, 0, -2])
    x = an_input(rng)
    model = keras.Sequential([keras.Input((None, I)), norm, keras.layers.LSTM(4, return_sequences=True)])
    flat = "mean" in options and options["mean"] != 0.5      # a variance of 0 divides by 1e-7
    if flat:
        x[..., 2] = 0.5 + 1e-8
    assert_outputs(model, x, 1e-4 if flat else TOLERANCE)


def test_normalisers_over_other_axes(keras, rng):
    L = keras.layers
    model = sequential(keras, rng, L.BatchNormalization(axis=1, name="norm"), L.GRU(4), shape=(T, I))
    with pytest.raises(NotAChain, match=r"^layer 'norm' \(BatchNormalization\): it goes over axis=1, expected"):
        chain_from_keras(model)
    model = sequential(keras, rng, L.Normalization(axis=(1, 2), name="norm"), L.GRU(4), shape=(T, I))
    with pytest.raises(NotAChain, match=r"'norm' \(Normalization\): it goes over axis=[\[(]1, 2[\])]"):
        chain_from_keras(model)
    model = sequential(keras, rng, L.Dense(T), L.Softmax(axis=1, name="soft"), shape=(T, I))
    with pytest.raises(NotAChain, match=r"'soft' \(Softmax\): its softmax goes over axis 1"):
        chain_from_keras(model)
    assert_outputs(sequential(keras, rng, L.GRU(4), L.BatchNormalization(axis=1)), an_input(rng))


# ---- the last step


@pytest.mark.parametrize("options", [{}, {"go_backwards": True}], ids=str)
@pytest.mark.parametrize("merge_mode", [None, "concat", "sum", "mul", "ave"])
def test_the_last_layer_gives_its_last_step(keras, rng, options, merge_mode):
    L = keras.layers
    if merge_mode and options:
        pytest.skip("a Bidirectional that goes backwards")
    gru = L.GRU(5, **options)
    gru = L.Bidirectional(gru, merge_mode=merge_mode) if merge_mode else gru
    model = sequential(keras, rng, L.Dense(4), L.GRU(3, return_sequences=True), gru, L.Dense(6, "relu"), L.Dense(2))
    network = assert_outputs(model, an_input(rng))
    assert network.last is True if not (merge_mode or options) else network.last == "h_n"
    assert_outputs(keras.Sequential(model.layers[:3]), an_input(rng))


def test_the_last_step_taken_by_hand(keras, rng):
    L = keras.layers
    for index in (np.s_[:, -1], np.s_[:, -1, :]):
        x = keras.Input((None, I))
        y = L.Bidirectional(L.GRU(4, return_sequences=True))(x)
        network = assert_outputs(randomised(keras.Model(x, L.Dense(2)(y[index])), rng), an_input(rng))
        assert network.last is True
    x = keras.Input((None, I))
    y = L.GRU(4, return_sequences=True)(x)
    for number, index in enumerate((np.s_[:, 0], np.s_[:, -2], np.s_[:, ::2], np.s_[..., 1:], np.s_[:, -1, :2])):
        with pytest.raises(NotAChain, match=r"\(GetItem\): of x\[...\], only x\[:, -1\] is read"):
            chain_from_keras(keras.Model(x, y[index], name=f"m{number}"))
    masked = L.GRU(4, return_sequences=True)(L.Masking()(x))[:, -1]
    with pytest.raises(NotAChain, match="Masking"):
        chain_from_keras(keras.Model(x, masked))


# ---- masks


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_a_mask_at_the_end_is_the_lengths_of_a_call(keras, rng, last, functional):
    L = keras.layers
    gru = L.Bidirectional(L.LSTM(4, return_sequences=not last))
    layers = [L.Masking(-1.0), L.Dense(5, "tanh"), L.GRU(6, return_sequences=True), gru, L.Dense(2)]
    model, x, lengths = sequential(keras, rng, *layers), an_input(rng), random_lengths(rng, T, N)
    if functional:
        given = y = keras.Input((None, I))
        for layer in layers:
            y = layer(y)
        model = keras.Model(given, y)
    lengths = np.maximum(lengths, 1)
    padding = np.arange(T) >= lengths[:, None]
    x[padding] = -1.0
    y = cgru.Sequential.from_keras(model)(x, lengths=(x != -1.0).any(axis=-1).sum(axis=1))[0]
    expected = single(model(x))
    if not last:
        y, expected = y[~padding], expected[~padding]
    assert_same(y, expected, TOLERANCE)


def test_a_mask_of_something_else(keras, rng):
    L = keras.layers
    x = keras.Input((T, I))
    with pytest.raises(NotAChain, match=r"^layer 'gru' \(GRU\) has 2 inputs"):
        chain_from_keras(keras.Model(x, L.GRU(4, name="gru")(x, mask=keras.ops.greater(x[..., 0], 0))))
    with pytest.raises(NotAChain, match=r"^layer 'late' \(Masking\): a mask of what other layers compute"):
        chain_from_keras(sequential(keras, rng, L.Dense(5), L.Masking(name="late"), L.GRU(4)))


# ---- the input, added to the output


def skipping(keras, rng, outputs, take=None, last=False, behind=None, **options):
    L = keras.layers
    x = keras.Input((None, I))
    y = L.Dense(outputs)(L.GRU(5, return_sequences=not last, **options)(L.Dropout(0.1)(x)))
    y = L.Add(name="sum")([y, x]) if take is None else x[take] + y
    return randomised(keras.Model(x, y if behind is None else behind(y)), rng)


def test_a_skip(keras, rng):
    for take, outputs, last in (
        (None, I, False), (np.s_[..., :1], 1, False), (np.s_[:, :, :2], 2, False), (np.s_[..., 0:2], 2, False),
        (np.s_[:, -1], I, True), (np.s_[:, -1, :2], 2, True), (np.s_[..., :9], I, False),
    ):  # fmt: skip
        network = assert_outputs(skipping(keras, rng, outputs, take, last), an_input(rng))
        assert network.skip and network.last is last
    L = keras.layers
    inner = skipping(keras, rng, I)
    assert assert_outputs(sequential(keras, rng, L.Dropout(0.2), inner, L.Dropout(0.2)), an_input(rng)).skip
    assert assert_outputs(skipping(keras, rng, I, behind=L.Activation("linear")), an_input(rng)).skip


@pytest.mark.parametrize("reason, options", [
    ("adds 3 features of the input to the 1 of the output", {"outputs": 1}),
    ("adds 1 features of the input to the 2", {"outputs": 2, "take": np.s_[..., :1]}),
    ("adds two branches", {"outputs": 1, "take": np.s_[..., 1:2]}),
    ("all steps of the input to one step", {"outputs": I, "last": True}),
    ("all steps of the input to one step, or one to all", {"outputs": I, "take": np.s_[:, -1]}),
])  # fmt: skip
def test_sums_that_are_no_skip(keras, rng, reason, options):
    options = {"take": None} | options
    if options.get("last"):      # (N, I) + (N, T, I) goes where T or N is 1
        x = keras.Input((1, I))
        model = keras.Model(x, keras.layers.Add(name="sum")([keras.layers.GRU(I)(x), x]))
    elif options["take"] == np.s_[:, -1]:
        x = keras.Input((1, I))
        model = keras.Model(x, keras.layers.GRU(I, return_sequences=True)(x) + x[:, -1])
    else:
        model = skipping(keras, rng, **options)
    with pytest.raises(NotAChain, match=rf"^layer '(sum|add\w*)' \(Add\).*{reason}"):
        chain_from_keras(model)


def test_a_sum_in_the_middle(keras, rng):
    L = keras.layers
    for behind in (L.Dense(2, name="after"), L.Activation("tanh", name="after")):
        with pytest.raises(NotAChain, match=rf"'sum' \(Add\): .* layer 'after' \({type(behind).__name__}\) follows"):
            chain_from_keras(skipping(keras, rng, I, behind=behind))
    x = keras.Input((None, I))
    y = L.Dense(4)(x)
    y = L.Add(name="sum")([y, L.GRU(4, return_sequences=True)(y)])
    with pytest.raises(NotAChain, match=r"'sum' \(Add\): it adds an output of a layer; .*: y = a \+ b"):
        chain_from_keras(keras.Model(x, y))
    inner = skipping(keras, rng, I)
    with pytest.raises(NotAChain, match=r"/sum' \(Add\): it adds an output of a layer"):
        chain_from_keras(sequential(keras, rng, L.Dense(I), inner))


# ---- what is passed over, and models in models


def test_what_does_nothing_is_passed_over(keras, rng):
    L = keras.layers
    between = [
        L.Dropout(0.5), L.SpatialDropout1D(0.5), L.GaussianNoise(1.0), L.GaussianDropout(0.5), L.AlphaDropout(0.5),
        L.Identity(), L.ActivityRegularization(), L.Activation("linear"), L.Reshape((-1, 4)), L.Reshape((T, 4)),
        L.TimeDistributed(L.Flatten()), L.TimeDistributed(L.Dropout(0.5)),
    ]  # fmt: skip
    end = [L.Flatten(), L.Reshape((5,)), L.Reshape((-1,))]
    layers = [L.GRU(4, return_sequences=True), *between, L.GRU(5), *end, L.Dense(2)]
    network = assert_outputs(sequential(keras, rng, *layers, shape=(T, I)), an_input(rng))
    assert kinds(network) == ["GRU", "GRU", "Linear"]


def test_shapes_that_change(keras, rng):
    L = keras.layers
    for layer, line in (
        (L.Flatten(name="odd"), r"x = x\.reshape\(len\(x\), -1\)"), (L.Reshape((I * T,), name="odd"), r"\*[\[(]21"),
        (L.Reshape((I, T), name="odd"), r"x\.reshape\(len\(x\), \*[\[(]3, 7[\])]"),
    ):  # fmt: skip
        with pytest.raises(NotAChain, match=rf"^layer 'odd' \({type(layer).__name__}\): it changes the shape.*{line}"):
            chain_from_keras(sequential(keras, rng, layer, L.Dense(2), shape=(T, I)))
    model = sequential(keras, rng, L.Reshape((T, 1), name="odd"), L.GRU(4), shape=(T,))
    with pytest.raises(NotAChain, match=r"'odd' \(Reshape\): it changes the shape"):
        chain_from_keras(model)


def test_models_in_models(keras, rng):
    L = keras.layers
    deepest = keras.Sequential([keras.Input((4,)), L.Dense(5, "elu"), L.BatchNormalization(), L.Dense(6)], name="deep")
    inner = keras.Sequential([keras.Input((None, I)), L.GRU(4, return_sequences=True), L.TimeDistributed(deepest)])
    x = keras.Input((None, I))
    functional = keras.Model(x, L.Dense(2)(L.RNN(L.LSTMCell(4), return_sequences=True)(inner(x))))
    network = assert_outputs(randomised(sequential(keras, rng, functional, L.Softmax()), rng), an_input(rng))
    assert kinds(network) == ["GRU", "Linear", "Linear", "LSTM", "Linear"]


def test_a_layer_that_is_called_twice(keras, rng):
    L = keras.layers
    x, dense = keras.Input((None, I)), L.Dense(I, "tanh")
    model = keras.Model(x, dense(L.GRU(I, return_sequences=True)(dense(x))))
    network = assert_outputs(randomised(model, rng), an_input(rng))
    assert kinds(network) == ["Linear", "GRU", "Linear"]
    inner = keras.Sequential([keras.Input((None, I)), dense], name="inner")
    with pytest.raises(NotAChain, match=r"'inner' \(Sequential\) is called 2 times"):
        chain_from_keras(keras.Model(x, inner(inner(x))))


def test_dense_layers_alone(keras, rng):
    model = sequential(keras, rng, keras.layers.Dense(4, "tanh"), keras.layers.Dense(2), shape=(I,))
    x = single(rng.normal(size=(N, I)))
    assert_same(cgru.Sequential.from_keras(model)(x[:, None])[0][:, 0], model(x), TOLERANCE)


def test_one_layer(keras, rng):
    for layer in (keras.layers.GRU(4, return_sequences=True), keras.layers.Dense(4, "relu")):
        layer.build((None, None, I))
        x = an_input(rng)
        assert_same(cgru.Sequential.from_keras(layer)(x)[0], layer(x), TOLERANCE)


def test_dtype(keras, rng):
    model = sequential(keras, rng, keras.layers.GRU(4, return_sequences=True), keras.layers.Dense(2))
    assert chain_from_keras(model).dtype == np.float32
    double = chain_from_keras(model, dtype=np.float64)
    assert double.dtype == np.float64 and all(layer.dtype == np.float64 for layer in double.layers)
    with pytest.raises(TypeError, match="dtype must be float32 or float64"):
        chain_from_keras(model, dtype=np.float16)


# ---- what is no chain


def refused(keras, rng):
    L = keras.layers
    gru = L.GRU(4, return_sequences=True)
    return {
        r"'odd' \(Embedding\): no chain .* x = table\[tokens\] before the call": [L.Embedding(9, 4, name="odd"), gru],
        r"'odd' \(Conv1D\): no chain .* range\(2\)": [L.Conv1D(4, 2, name="odd"), gru],
        r"'odd' \(LayerNormalization\): .*np\.sqrt\(x\.var\(-1, keepdims=True\) \+ 0\.01\)":
            [gru, L.LayerNormalization(epsilon=0.01, name="odd")],
        r"'odd' \(RepeatVector\): .*np\.repeat\(y\[:, None\], 6, axis=1\)":
            [L.GRU(4), L.RepeatVector(6, name="odd"), gru],
        r"'odd' \(GlobalAveragePooling1D\): .*x\.mean\(axis=1\)": [gru, L.GlobalAveragePooling1D(name="odd")],
        r"'odd' \(MaxPooling1D\): .*// 2": [L.MaxPooling1D(name="odd"), gru],
        r"'odd' \(ZeroPadding1D\): .*np\.pad\(x, \(\(0, 0\), [\[(]1, 2[\])], \(0, 0\)\)\)":
            [L.ZeroPadding1D((1, 2), name="odd")],
        r"'odd' \(PReLU\): .*np\.where": [L.Dense(3), L.PReLU(shared_axes=[1], name="odd")],
        r"'odd' \(EinsumDense\): .*np\.einsum\('abc,cd->abd'": [L.EinsumDense("abc,cd->abd", (None, 5), name="odd")],
        r"'odd' \(Lambda\): .*written in NumPy": [L.Lambda(lambda x: x, output_shape=(None, I), name="odd")],
        r"'odd' \(ReLU\): its ReLU has": [L.ReLU(threshold=0.5, name="odd")],
        r"'odd' \(Dense\): its activation is code": [L.Dense(4, activation=lambda x: x, name="odd")],
        r"'odd' \(RNN\): only GRU, LSTM": [L.RNN([L.GRUCell(4), L.GRUCell(3)], name="odd")],
        r"'odd' \(GRU\): no chain has such": [L.TimeDistributed(L.GRU(4), name="odd")],
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")      # of Keras, where code is serialised
def test_layers_that_no_chain_has(keras, rng):
    for reason, layers in refused(keras, rng).items():
        shape = (T,) if "Embedding" in reason else (T, 2, I) if r"\(GRU\)" in reason else (T, I)
        with pytest.raises(NotAChain, match=f"^layer {reason}"):
            chain_from_keras(keras.Sequential([keras.Input(shape), *layers]))
    x = keras.Input((T, I))
    y, _ = keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True), merge_mode=None, name="odd")(x)
    with pytest.raises(ValueError, match=r"^layer 'odd' \(Bidirectional\): merge_mode=None"):
        chain_from_keras(keras.Model(x, y))
    with pytest.raises(NotAChain, match=r"input has 4 axes"):
        chain_from_keras(keras.Sequential([keras.Input((T, 2, I)), keras.layers.Dense(3)]))


def test_an_own_layer(keras, rng):
    class Dense(keras.layers.Dense):
        def call(self, x):
            return super().call(x) ** 2

    class Own(keras.layers.Layer):
        def call(self, x):
            return x

    for layer in (Dense(4, name="odd"), Own(name="odd")):
        with pytest.raises(NotAChain, match=r"^layer 'odd' \([\w.]*test_keras_chain\.(Dense|Own)\): no chain has such"):
            chain_from_keras(sequential(keras, rng, layer))

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.gru = keras.layers.GRU(4)

        def call(self, x):
            return self.gru(x)

    model = Subclassed()
    model(an_input(rng))
    with pytest.raises(NotAChain, match=r"\(Subclassed\) is a model whose call is code of its own"):
        chain_from_keras(model)


def test_an_own_gru_counts_as_what_it_extends(keras, rng):
    class Own(keras.layers.GRU):
        pass

    assert_outputs(sequential(keras, rng, Own(4, return_sequences=True), keras.layers.Dense(2)), an_input(rng))


def test_branches_inputs_and_outputs(keras):
    L = keras.layers
    x, other = keras.Input((None, I), name="x"), keras.Input((None, I), name="other")
    one, two = L.Dense(I, name="one")(x), L.Dense(I, name="two")(x)
    sequences, state = L.GRU(I, return_sequences=True, return_state=True, name="gru")(x)
    cases = {
        r"2 outputs \('one', 'two'\)": keras.Model(x, [one, two]),
        r"2 inputs \('x', 'other'\)": keras.Model([x, other], L.Concatenate()([x, other])),
        r"layer 'both' \(Concatenate\) has 2 inputs \('one', 'two'\)":
            keras.Model(x, L.Concatenate(name="both")([one, two])),
        r"layer 'sum' \(Add\) adds two branches, 'one' and 'two'": keras.Model(x, L.Add(name="sum")([one, two])),
        r"layer 'three' \(Add\) has 3 inputs": keras.Model(x, L.Add(name="three")([one, two, x])),
        r"layer 'times' \(Multiply\) has 2 inputs": keras.Model(x, L.Multiply(name="times")([one, x])),
        r"layer 'gru' \(GRU\): its output 1, a state": keras.Model(x, L.Dense(2)(state)),
        r"layer 'led' \(GRU\) has 2 inputs": keras.Model(x, L.GRU(I, name="led")(sequences, initial_state=state)),
    }
    for reason, model in cases.items():
        with pytest.raises(NotAChain, match=reason):
            chain_from_keras(model)
    inner = keras.Model(x, [one, two], name="inner")
    with pytest.raises(NotAChain, match=r"model 'inner' has 2 outputs"):
        chain_from_keras(keras.Model(other, inner(other)[0]))
    assert len(chain_from_keras(keras.Model(x, L.Dense(2)(sequences))).layers) == 2      # one of two outputs, the first


def test_layers_that_are_called_as_in_training(keras, rng):
    L = keras.layers
    for layer in (L.Dropout(0.3, name="odd"), L.BatchNormalization(name="odd"), L.GRU(4, dropout=0.2, name="odd")):
        x = keras.Input((None, I))
        with pytest.raises(NotAChain, match=r"^layer 'odd' .*training=True: its result is random"):
            chain_from_keras(keras.Model(x, L.Dense(2)(layer(x, training=True))))
    x = keras.Input((None, I))
    model = keras.Model(x, L.GRU(4, return_sequences=True)(L.Dropout(0.3)(x, training=False), training=True))
    assert_outputs(randomised(model, rng), an_input(rng))


def test_what_is_no_model(keras):
    for source in (3, None, [np.zeros((3, 4))], keras.layers.Dense):
        with pytest.raises(TypeError, match="expected a Keras model, or the path"):
            chain_from_keras(source)
    with pytest.raises(ValueError, match=r"it has 0 arrays, expected 2; the model is not built"):
        chain_from_keras(keras.Sequential([keras.layers.Dense(3)]))
    with pytest.raises(NotAChain, match="no layer of the model computes"):
        chain_from_keras(keras.Sequential([keras.Input((None, I)), keras.layers.Dropout(0.1)]))


def test_a_recurrent_layer_behind_the_last_step(keras, rng):
    L = keras.layers
    x = keras.Input((T, I))
    y = keras.ops.expand_dims(L.GRU(4)(x), 1)
    with pytest.raises(NotAChain, match=r"\(ExpandDims\): no chain has such a layer"):
        chain_from_keras(keras.Model(x, L.GRU(3, name="second")(y)))


def test_options_of_the_single_layer(keras, rng):
    """stateful, go_backwards, reset_after, RNN around a cell: as `from_keras` has them."""
    L = keras.layers
    layers = [
        L.GRU(4, return_sequences=True, go_backwards=True, reset_after=False, activation="elu"),
        L.RNN(L.GRUCell(5, use_bias=False), return_sequences=True, go_backwards=True),
        L.LSTM(6, return_sequences=True, recurrent_activation="hard_sigmoid", unroll=False),
        L.SimpleRNN(3, activation="relu", return_sequences=True),
    ]
    assert_outputs(sequential(keras, rng, *layers), an_input(rng))
    stateful = keras.Sequential([keras.Input(batch_shape=(N, T, I)), L.GRU(4, stateful=True, return_sequences=True)])
    assert_outputs(randomised(stateful, rng), an_input(rng))
    with pytest.raises(ValueError, match=r"^layer 'odd' \(GRU\): activation 'mish' is not supported"):
        chain_from_keras(sequential(keras, rng, L.GRU(4, activation="mish", name="odd")))
