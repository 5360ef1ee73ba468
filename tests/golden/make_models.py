"""Make the model files in `models/`, and what they compute.

    python tests/golden/make_models.py                  those of version 0.1, with cgru 0.1.0
    python tests/golden/make_models.py quantized        those with quantised weights, format 3

They prove that later versions read them, and are not made again by a later one. Each is a model of 3 features and 4
units or so, as `save` wrote it. Of the first ones `outputs.npz` holds "NAME x" and "NAME y", "NAME h_n", "NAME c_n",
and `models.json` the class and the attributes of each; of the others it is `quantized.npz` and `quantized.json`.
"""

import json
import sys
from pathlib import Path

import numpy as np

import cgru

FOLDER = Path(__file__).parent / "models"
I, H, T, N = 3, 4, 6, 2     # noqa: E741
ROWS = {"GRU": 3, "RNN": 1, "LSTM": 4}

# name: class, layers, directions, whether there are biases and a stored initial state, dtype, options
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


def draw(rng, shape, dtype):
    """Uniform in +-0.7."""
    return (1.4 * rng.random(shape) - 0.7).astype(dtype)


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
        found["h_0"] = draw(rng, (layers * directions, H), dtype)
    return found


def quantized(model, types):
    """The model with these types of weights, layer by layer."""
    for layer, weight_dtype in enumerate(types):
        if weight_dtype != "float32":
            model = model.quantize(weight_dtype, layers=[layer])
    return model


def write(models, outputs, about):
    """Write models, name -> (weight types, class, ..., options), what they compute, and what they are."""
    arrays, table = {}, {}
    for seed, (name, (types, kind, *layout, options)) in enumerate(models.items()):
        rng = np.random.default_rng(seed)
        model = getattr(cgru, kind).from_state_dict(state(rng, kind, *layout), **options)
        model = quantized(model, types)
        model.save(FOLDER / f"{name}.safetensors")
        arrays[f"{name} x"] = draw(rng, (N, T, I) if model.batch_first else (T, N, I), model.dtype)
        arrays[f"{name} y"], final = model(arrays[f"{name} x"])
        planes = final if kind == "LSTM" else (final,)
        arrays |= {f"{name} {plane}": value for plane, value in zip(("h_n", "c_n"), planes, strict=False)}
        layers, directions, bias, _, dtype = layout
        attributes = {"input_size": I, "hidden_size": H, "num_layers": layers, "bidirectional": directions == 2}
        attributes |= {"bias": bias, "dtype": dtype, **options}
        if "activations" in options:
            attributes["activations"] = model.activations
        if types:
            attributes["weight_dtypes"] = types
        table[name] = {"class": kind, "attributes": attributes}
    np.savez_compressed(FOLDER / outputs, **arrays)
    (FOLDER / about).write_text(json.dumps(table, indent=1) + "\n")
    print(f"cgru {cgru.__version__}, {len(models)} models")


def main():
    """Write those that were asked for, where there are none of them."""
    FOLDER.mkdir(exist_ok=True)
    models, outputs, about = {name: ((), *row) for name, row in MODELS.items()}, "outputs.npz", "models.json"
    if sys.argv[1:] == ["quantized"]:
        models, outputs, about = QUANTIZED, "quantized.npz", "quantized.json"
    if (FOLDER / about).exists():
        sys.exit(f"{FOLDER / about} is there: files of an old version are not made again by a new one")
    write(models, outputs, about)


if __name__ == "__main__":
    main()
