"""Models of Keras to convert, from memory and from files."""

import numpy as np


def a_model(keras, rng):
    """Three GRU layers, two of them in an inner model, random weights."""
    layers = keras.layers
    inner = keras.Sequential(
        [
            keras.Input((None, 10)),
            layers.GRU(7, name="second", return_sequences=True, reset_after=False),
            layers.Dropout(0.5),
            layers.GRU(3, name="third", return_sequences=True, go_backwards=True, use_bias=False, activation="relu"),
        ],
        name="inner",
    )
    x = keras.Input((None, 4))
    first = layers.GRU(5, return_sequences=True, recurrent_activation="hard_sigmoid")
    first = layers.Bidirectional(first, name="first")
    model = keras.Model(x, inner(first(x)))
    model.set_weights([rng.normal(size=w.shape) / 2 for w in model.get_weights()])
    return model


def randomised(model, rng):
    """`model` with random weights, variances positive; a Normalization's are adapted."""
    for weight in model.weights:
        values = rng.normal(size=weight.shape) / np.sqrt(max(weight.shape[-1:], default=1) / 2)
        weight.assign(np.abs(values) + 0.3 if "variance" in weight.name else values)
    _finalize(model)
    return model


def _finalize(model):
    for layer in getattr(model, "layers", ()):
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
        _finalize(layer)


_FUNCTIONS = ["relu", "tanh", "sigmoid", "softmax", "elu", "silu", "gelu", "hard_sigmoid", "leaky_relu", None]


def random_layers(keras, rng, count, last):
    """`count` layers with weights, in random order and with random options, and what stands between them.

    With `last`, the last recurrent layer, if there is one, has return_sequences=False.
    """
    layers = keras.layers
    sizes = iter(rng.permutation(np.arange(2, 9)))
    kinds = [str(rng.choice(["GRU", "LSTM", "SimpleRNN", "Dense", "TimeDistributed"])) for _ in range(count)]
    ends = max((place for place, kind in enumerate(kinds) if kind in ("GRU", "LSTM", "SimpleRNN")), default=-1)
    found = []
    for place, kind in enumerate(kinds):
        size, function = int(next(sizes)), rng.choice(np.array(_FUNCTIONS, object))
        if kind in ("Dense", "TimeDistributed"):
            dense = layers.Dense(size, activation=function, use_bias=bool(rng.integers(2)))
            stepwise = kind == "TimeDistributed" and not (last and place > ends >= 0)
            found.append(layers.TimeDistributed(dense) if stepwise else dense)
        else:
            sequences = not (last and place == ends)
            one = getattr(layers, kind)(size, return_sequences=sequences, use_bias=bool(rng.integers(4)))
            two_ways = rng.integers(3) == 0
            merge_mode = str(rng.choice(["concat", "sum", "ave", "mul"]))
            found.append(layers.Bidirectional(one, merge_mode=merge_mode) if two_ways else one)
        found += _between(layers, rng)
    if rng.integers(3) == 0:
        found.insert(0, layers.Normalization())
    return found


def _between(layers, rng):
    options = [
        lambda: layers.Dropout(0.3), lambda: layers.GaussianNoise(0.1), lambda: layers.Activation("tanh"),
        lambda: layers.ELU(0.7), lambda: layers.LeakyReLU(), lambda: layers.ReLU(),
        lambda: layers.BatchNormalization(scale=bool(rng.integers(2))),
        lambda: layers.BatchNormalization(center=False),
    ]  # fmt: skip
    return [options[rng.integers(len(options))]() for _ in range(int(rng.integers(3) == 0))]


def random_network(keras, seed):
    """A model of 1 to 5 layers with random weights, Sequential, nested or functional; and its number of inputs."""
    rng = np.random.default_rng(seed)
    inputs, count = int(rng.integers(1, 5)), seed % 5 + 1
    found = random_layers(keras, rng, count, last=bool(rng.integers(2)))
    form = ("sequential", "nested", "functional")[seed // 5 % 3]
    if form == "functional":
        x = y = keras.Input((None, inputs))
        for layer in found:
            y = layer(y)
        model = keras.Model(x, y)
    elif form == "nested" and len(found) > 1:
        inner = keras.Sequential([keras.Input((None, inputs)), *found[:-1]], name="inner")
        model = keras.Sequential([keras.Input((None, inputs)), inner, found[-1]])
    else:
        model = keras.Sequential([keras.Input((None, inputs)), *found])
    return randomised(model, rng), inputs
