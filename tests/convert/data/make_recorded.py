"""Make rtneural.json and nam.json beside this: small random networks, and what the systems themselves compute.

    python tests/convert/data/make_recorded.py RTNEURAL NAM

RTNEURAL and NAM are programs that read a model's file, their argument, and rows of x from their standard input, start
from the model's own state without a run over silence, and print a row of y for each: with the layers of RTNeural's
`json_parser::parseJson<float>` over its STL backend (commit 1fb1f07), and with NeuralAmpModelerCore's `get_dsp`
(commit daae2d0). The weights are NumPy's random numbers.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
T = 40


def drawn(rng, *shape):
    """float32 numbers of four digits."""
    return np.round(rng.normal(size=shape) / 2, 4).astype("f4").astype(float).round(7).tolist()


def layer(rng, kind, before, features, activation=""):
    """An entry of RTNeural's layers."""
    shapes = {
        "gru": [(before, 3 * features), (features, 3 * features), (2, 3 * features)],
        "lstm": [(before, 4 * features), (features, 4 * features), (4 * features,)],
        "dense": [(before, features), (features,)], "time-distributed-dense": [(before, features), (features,)],
        "activation": [], "prelu": [(1, features)], "batchnorm": [(features,)] * 4, "batchnorm2": [(features,)] * 2,
    }  # fmt: skip
    weights = [drawn(rng, *shape) for shape in shapes[kind]]
    found = {"type": kind, "activation": activation, "shape": [None, None, features], "weights": weights}
    if kind == "prelu":
        weights[0] = [[0.25] * features]
    if kind.startswith("batchnorm"):
        weights[-1] = [abs(number) + 0.5 for number in weights[-1]]
        found |= {"type": "batchnorm", "epsilon": 0.125}
    return found


#: name: input size, and of each layer its kind, features and activation
NETWORKS = {
    "amplifier": (1, ("gru", 6), ("dense", 1)),
    "four": (2, ("time-distributed-dense", 5, "tanh"), ("gru", 7), ("dense", 4, "sigmoid"), ("dense", 3)),
    "stacked": (3, ("lstm", 5), ("lstm", 4), ("activation", 4, "elu"), ("dense", 6, "softmax")),
    "normalised": (2, ("batchnorm", 2), ("gru", 5), ("batchnorm2", 5), ("prelu", 5), ("dense", 4, "relu")),
    "dense": (3, ("dense", 5), ("prelu", 5), ("dense", 4, "elu")),
}
#: input size, hidden size, layers, outputs
MODELERS = {"one": (1, 3, 1, 1), "three": (1, 4, 3, 1), "channels": (2, 3, 2, 3)}


def rtneural_models(rng):
    """Name -> model."""
    for name, (before, *layers) in NETWORKS.items():
        model = {"in_shape": [None, None, before], "layers": []}
        for kind, features, *activation in layers:
            model["layers"].append(layer(rng, kind, before, features, *activation))
            before = features
        yield name, model


def nam_models(rng):
    """Name -> model."""
    for name, (I, H, L, O) in MODELERS.items():     # noqa: E741
        count = 4 * H * (I + H) + (L - 1) * 8 * H * H + L * 6 * H + O * (H + 1)
        config = {"input_size": I, "hidden_size": H, "num_layers": L}
        config |= {"in_channels": I, "out_channels": O} if O > 1 else {}
        weights = drawn(rng, count)
        yield name, {"version": "0.5.4", "architecture": "LSTM", "config": config, "weights": weights,
                     "sample_rate": 48000}  # fmt: skip


def main(programs):
    """Write both files."""
    rng = np.random.default_rng(14)
    for name, models, program in zip(("rtneural", "nam"), (rtneural_models, nam_models), programs, strict=True):
        found = {}
        for case, model in models(rng):
            size = model["in_shape"][-1] if "in_shape" in model else model["config"]["input_size"]
            x = drawn(rng, T, size)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"model.{name}"
                path.write_text(json.dumps(model))
                rows = "\n".join(" ".join(map(repr, row)) for row in x)
                printed = subprocess.run([program, path], input=rows, capture_output=True, text=True, check=True)
            y = [[float(number) for number in row.split()] for row in printed.stdout.splitlines()[-T:]]
            found[case] = {"model": model, "x": x, "y": y}
        lines = ",\n".join(f'"{case}": {json.dumps(recorded)}' for case, recorded in found.items())
        (FOLDER / f"{name}.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
