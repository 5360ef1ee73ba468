"""The models whose files every later version has to read: every kind, option, weight type, and networks.

`make_models.py` writes them. What is here may grow; a row that a release has had stays as it is, since the numbers in
its files are drawn in this order. Each has 3 features and 4 units or so.
"""

import zlib

import numpy as np

I, H, T, N = 3, 4, 6, 2  # noqa: E741
ROWS = {"GRU": 3, "RNN": 1, "LSTM": 4}
FUNCTIONS = (
    "sigmoid", "tanh", "hard_sigmoid", "relu", "linear", "softsign", "leaky_relu", "elu", "softplus", "scaled_tanh",
    "silu", "gelu", "gelu_tanh", "softmax",
)  # fmt: skip

# name: class, layers, directions, whether there are biases and a stored initial state, dtype, options. These are 0.1's.
MODELS = {
    "gru": ("GRU", 1, 1, True, False, "float32", {}),
    "gru_reset_before": ("GRU", 1, 1, True, False, "float32", {"reset_after": False}),
    "gru_activations_clip": ("GRU", 1, 1, True, False, "float32", {
        "activations": (("hard_sigmoid", 0.3, 0.4), "softsign"), "clip": 0.75}),
    "gru_two_activations": ("GRU", 1, 2, True, False, "float32", {
        "activations": (("sigmoid", "relu"), ("hard_sigmoid", "tanh"))}),
    "gru_merged": ("GRU", 1, 2, True, False, "float32", {"merge_mode": "ave", "batch_first": True}),
    "gru_initial_state": ("GRU", 2, 1, True, True, "float32", {}),
    "gru_bidirectional": ("GRU", 2, 2, False, False, "float32", {}),
    "gru_go_backwards": ("GRU", 2, 1, True, False, "float32", {"go_backwards": True}),
    "gru_reverse": ("GRU", 1, 1, True, False, "float32", {"reverse": True}),
    "gru_float64": ("GRU", 2, 1, True, False, "float64", {}),
    "rnn_tanh": ("RNN", 2, 1, True, False, "float64", {"batch_first": True}),
    "rnn_relu": ("RNN", 1, 2, True, False, "float32", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", 1, 1, True, False, "float32", {"batch_first": True}),
    "lstm_bidirectional": ("LSTM", 2, 2, True, False, "float64", {}),
}  # fmt: skip

# name: weight types of the layers, and the rest as above
QUANTIZED = {
    "gru_bfloat16": (("bfloat16", "bfloat16"), "GRU", 2, 1, True, False, "float32", {}),
    "gru_int8": (("int8", "int8"), "GRU", 2, 1, True, True, "float32", {}),
    "gru_int8_reset_before": (("int8",), "GRU", 1, 2, True, False, "float32", {"reset_after": False}),
    "gru_mixed": (("int8", "bfloat16", "float32"), "GRU", 3, 2, True, False, "float32", {"batch_first": True}),
    "rnn_bfloat16": (("bfloat16",), "RNN", 1, 2, False, False, "float32", {"nonlinearity": "relu"}),
    "rnn_int8": (("int8", "int8"), "RNN", 2, 1, True, False, "float32", {}),
    "lstm_bfloat16": (("bfloat16", "float32"), "LSTM", 2, 1, True, False, "float32", {}),
    "lstm_int8": (("int8",), "LSTM", 1, 2, True, False, "float32", {"batch_first": True}),
}  # fmt: skip

# What 0.2 has beside them
OPTIONS = {
    "lstm_activations_clip": ("LSTM", 1, 1, True, False, "float32", {
        "activations": ("hard_sigmoid", "softsign", ("scaled_tanh", 1.5, 0.5)), "clip": 0.75}),
    "lstm_merged": ("LSTM", 1, 2, True, False, "float32", {"merge_mode": "sum"}),
    "lstm_initial_state": ("LSTM", 2, 1, False, True, "float32", {}),
    "lstm_go_backwards": ("LSTM", 1, 1, True, False, "float32", {"go_backwards": True}),
    "lstm_reverse": ("LSTM", 1, 1, True, False, "float32", {"reverse": True}),
    "rnn_activation": ("RNN", 1, 2, True, False, "float32", {"nonlinearity": ("leaky_relu", 0.2, 0.0), "clip": 0.5}),
    "rnn_merged": ("RNN", 1, 2, True, False, "float32", {"merge_mode": "mul", "batch_first": True}),
    "rnn_initial_state": ("RNN", 1, 2, True, True, "float32", {}),
    "rnn_go_backwards": ("RNN", 2, 1, True, False, "float32", {"go_backwards": True}),
    "gru_gelu": ("GRU", 1, 1, True, False, "float32", {"activations": ("sigmoid", "gelu")}),
}  # fmt: skip

# name: (layers, options of Sequential, dtype). A layer is a class, its output size, its options, a weight type or None.
NETWORKS = {
    "network_amplifier": ([("GRU", 5, {}, None), ("Linear", 1, {}, None)], {"skip": True}, "float32"),
    "network_last": (
        [("LSTM", 4, {}, None), ("Linear", 3, {"activation": "relu"}, None),
         ("Linear", 2, {"activation": "softmax"}, None)],
        {"last": True, "batch_first": True}, "float32"),
    "network_h_n": (
        [("GRU", 4, {"bidirectional": True}, None), ("Linear", 2, {"activation": "tanh"}, None)],
        {"last": "h_n"}, "float32"),
    "network_float64": ([("RNN", 4, {"num_layers": 2}, None), ("Linear", 2, {"bias": False}, None)], {}, "float64"),
    "network_one_layer": ([("GRU", 4, {}, None)], {}, "float32"),
    "network_mixed": (
        [("Linear", 4, {"activation": "silu"}, "int8"), ("GRU", 4, {"num_layers": 2}, "int8"),
         ("LSTM", 5, {}, "bfloat16"), ("RNN", 4, {}, None), ("Linear", 2, {}, "bfloat16")],
        {"skip": True}, "float32"),
}  # fmt: skip


def names():
    """Of all models."""
    linears = [f"linear_{function}" for function in FUNCTIONS]
    special = ["linear_normalizer", "linear_no_bias_float64", "linear_bfloat16", "linear_int8"]
    return [*MODELS, *QUANTIZED, *OPTIONS, *linears, *special, *NETWORKS]


def draw(rng, shape, dtype):
    """Uniform in +-0.7."""
    return (1.4 * rng.random(shape) - 0.7).astype(dtype)


def generator(name):
    """Whose numbers a model has: of a row of the first two tables by its place, of later ones by its name."""
    for table in (MODELS, QUANTIZED):
        if name in table:
            return np.random.default_rng(list(table).index(name))
    return np.random.default_rng(zlib.crc32(name.encode()))


def state(rng, kind, layers, directions, bias, initial_state, dtype):
    """Parameters under PyTorch's names."""
    G, found = ROWS[kind] * H, {}
    for layer in range(layers):
        for end in ("", "_reverse")[:directions]:
            found[f"weight_ih_l{layer}{end}"] = draw(rng, (G, directions * H if layer else I), dtype)
            found[f"weight_hh_l{layer}{end}"] = draw(rng, (G, H), dtype)
            if bias:
                found[f"bias_ih_l{layer}{end}"] = draw(rng, G, dtype)
                found[f"bias_hh_l{layer}{end}"] = draw(rng, G, dtype)
    if initial_state:
        for plane in ("h_0", "c_0")[: 1 + (kind == "LSTM")]:
            found[plane] = draw(rng, (layers * directions, H), dtype)
    return found


def x_of(model):
    """(name, array) of what a model is called with: one for each dtype and layout."""
    batch_first = getattr(model, "batch_first", False)
    name = f"x {model.dtype}{' batch first' * batch_first}"
    return name, draw(generator(name), (N, T, I) if batch_first else (T, N, I), model.dtype)


def build(cgru, name):
    """The model of a name, with this cgru."""
    rng = generator(name)
    if name in NETWORKS:
        model = network(cgru, rng, *NETWORKS[name])
    elif name.startswith("linear_"):
        model = linear(cgru, rng, name.removeprefix("linear_"))
    else:
        types, kind, *layout, options = QUANTIZED.get(name) or ((), *(MODELS | OPTIONS)[name])
        model = getattr(cgru, kind).from_state_dict(state(rng, kind, *layout), **options)
        for layer, weight_dtype in enumerate(types):
            if weight_dtype != "float32":
                model = model.quantize(weight_dtype, layers=[layer])
    return model


def linear(cgru, rng, what):
    """A Linear with an activation, or what else there is of them."""
    if what == "normalizer":
        return cgru.Linear.normalizer(draw(rng, I, "float64"), 1 + draw(rng, I, "float64"))
    dtype = "float64" if what.endswith("float64") else "float32"
    parameters = {"weight": draw(rng, (H, I), dtype)} | ({} if "no_bias" in what else {"bias": draw(rng, H, dtype)})
    model = cgru.Linear.from_state_dict(parameters, activation=what if what in FUNCTIONS else None)
    return model.quantize(what) if what in ("bfloat16", "int8") else model


def network(cgru, rng, layers, options, dtype):
    """A Sequential."""
    made, width = [], I
    for kind, size, own, weight_dtype in layers:
        if kind == "Linear":
            bias = own.get("bias", True)
            layer = cgru.Linear(width, size, bias, dtype=dtype, activation=own.get("activation"))
        else:
            layer = getattr(cgru, kind)(width, size, **own, batch_first=options.get("batch_first", False), dtype=dtype)
        parameters = {name: draw(rng, value.shape, dtype) for name, value in layer.state_dict().items()}
        given = {name: value for name, value in own.items() if name == "activation"}
        given |= {"batch_first": layer.batch_first} if kind != "Linear" else {}
        layer = type(layer).from_state_dict(parameters, **given)
        width = size * (2 if own.get("bidirectional") else 1)
        made.append(layer.quantize(weight_dtype) if weight_dtype else layer)
    return cgru.Sequential(made, **options)
