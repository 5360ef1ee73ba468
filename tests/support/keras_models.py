"""A model of Keras to convert, from memory and from files."""


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
