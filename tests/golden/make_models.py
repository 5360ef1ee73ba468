"""Write the model files of this version, and what they compute, into `models/<version>/`: once, at its release.

    python tests/golden/make_models.py

The cgru that is importable writes them: what `save` writes; `outputs.npz` with "NAME y" and the final states "NAME 0",
"NAME 1", ..., and x, one for each dtype and layout ("NAME x" in 0.1's); `models.json` with the class and the attributes
of each. Tests read them with every later version. A folder that is there is never written again. That of 0.1.0 is of an
earlier form of this script, run with 0.1.0.
"""

import json
import sys
from pathlib import Path

import numpy as np

import cgru

sys.path.append(str(Path(__file__).resolve().parents[1]))
from golden import model_set

FOLDER = Path(__file__).parent / "models"
ATTRIBUTES = (
    "input_size", "hidden_size", "num_layers", "bidirectional", "bias", "batch_first", "reset_after", "activations",
    "nonlinearity", "clip", "reverse", "go_backwards", "merge_mode", "in_features", "out_features", "activation",
    "last", "skip", "dtype", "weight_dtypes",
)  # fmt: skip


def about(model):
    """The class and the public attributes of a model, a network's layers too, as JSON has them."""
    found = {name: plain(getattr(model, name)) for name in ATTRIBUTES if hasattr(model, name)}
    layers = getattr(model, "layers", ())
    inside = {"layers": [about(layer) for layer in layers]} if layers else {}
    return {"class": type(model).__name__, "attributes": found} | inside


def plain(value):
    """Tuples as lists, dtypes as words."""
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, np.dtype | type) else value


def computed(model, x):
    """y and the final states, in a flat list."""
    result = model(x)
    if not isinstance(result, tuple):
        return [result]

    def flat(value):
        return [value] if isinstance(value, np.ndarray) else [one for part in value for one in flat(part)]

    return flat(result)


def write(folder, names, package=cgru):
    """Write the models of these names with a cgru.

    Raises
    ------
    FileExistsError
        The folder is there.
    """
    folder.mkdir(parents=True)
    arrays, table = {}, {}
    for name in names:
        model = model_set.build(package, name)
        model.save(folder / f"{name}.safetensors")
        called, x = model_set.x_of(model)
        y, *states = computed(model, x)
        arrays |= {called: x, f"{name} y": y}
        arrays |= {f"{name} {number}": value for number, value in enumerate(states)}
        table[name] = about(package.load(folder / f"{name}.safetensors"))  # a network of one GRU is read as that GRU
    np.savez_compressed(folder / "outputs.npz", **arrays)
    (folder / "models.json").write_text(json.dumps(table, indent=None, separators=(",", ":")) + "\n")
    return sum(path.stat().st_size for path in folder.iterdir())


def main():
    """Write those of this version."""
    version = cgru.__version__
    if not version.replace(".", "").isdigit():
        sys.exit(f"this is cgru {version}: the files of a release are written by the release")
    folder = FOLDER / version
    try:
        size = write(folder, model_set.names())
    except FileExistsError:
        sys.exit(f"{folder} is there: files of a version are not made again")
    print(f"cgru {version}: {len(model_set.names())} models in {folder}, {size} bytes")


if __name__ == "__main__":
    main()
