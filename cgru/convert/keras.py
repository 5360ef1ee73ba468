"""Keras: layers, models, weight lists. Gate order z, r, h in columns; reset either way; z keeps the old h.

    kernel (I, 3H)     recurrent_kernel (H, 3H)     bias (2, 3H) = input, recurrent with reset_after, else (3H,)

Keras 1 has nine arrays: W (I, H), U (H, H), b (H,) of z, then of r, then of h; reset before.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cgru.activations import activation
from cgru.convert._build import Cell, build, chosen, gates, real_array

RECURRENT = ("GRU", "Bidirectional", "RNN")
_SAME = ("sigmoid", "tanh", "relu", "linear", "softsign", "softplus", "elu")


class Layer(NamedTuple):
    """What Keras says of one layer.

    Attributes
    ----------
    kind : str
        Its class: one of RECURRENT.
    config : dict
        Its ``get_config()``.
    arrays : callable
        Gives its ``get_weights()``.
    version : str
        Of the Keras that the configuration comes from.
    """

    kind: str
    config: dict
    arrays: object
    version: str


def weights_from_keras(source, layer=None, *, reset_after=None, activations=None, go_backwards=False, dtype=None):
    """`Weights` of a layer, a model, a file or a list of arrays; see `from_keras`."""
    if isinstance(source, str | os.PathLike):
        from cgru.convert.keras_files import read_layers

        layers = read_layers(os.fspath(source))
    elif callable(getattr(source, "get_config", None)) and callable(getattr(source, "get_weights", None)):
        layers = _live_layers(source)
    elif isinstance(source, Sequence) and not isinstance(source, Mapping):
        arrays = list(source)
        return _from_arrays(arrays, reset_after, activations, go_backwards, dtype)
    else:
        raise TypeError(
            "expected a Keras layer or model, the path of a .keras or .h5 file, or the arrays of get_weights(); "
            f"got {type(source).__name__}"
        )
    if layer is not None and layer not in layers:      # the last part of a nested layer's name is enough
        nested = [name for name in layers if name.endswith(f"/{layer}")]
        layer = nested[0] if len(nested) == 1 else layer
    found = layers[chosen(layers, layer, "GRU layer", "layer")]
    try:
        return _weights(found, dtype)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the configuration of this Keras {found.kind} layer is incomplete: {error!r}") from error


def _live_layers(source):
    """Path of names -> `Layer` for every GRU layer in a live layer or model; subclasses count as what they extend."""
    kind = next((base.__name__ for base in type(source).__mro__ if base.__name__ in RECURRENT), None)
    if kind is not None:
        config = source.get_config()
        layer = Layer(kind, config, source.get_weights, _version(source))
        return {source.name: layer} if is_gru(kind, config) else {}
    found: dict[str, Layer] = {}
    for part in getattr(source, "layers", ()):
        inner = _live_layers(part)
        found |= {name if name == part.name else f"{part.name}/{name}": layer for name, layer in inner.items()}
    return found


def _version(layer):
    package = sys.modules.get(type(layer).__module__.partition(".")[0])
    version = getattr(package, "__version__", "3")
    return version() if callable(version) else str(version)


def is_gru(kind, config):
    """Whether a layer of class `kind` with this configuration is a GRU, in a wrapper or not."""
    if kind == "GRU":
        return True
    inner = config.get("layer" if kind == "Bidirectional" else "cell")
    if not isinstance(inner, Mapping):
        return False
    if kind == "RNN":
        return inner.get("class_name") == "GRUCell"
    return inner.get("class_name") in ("GRU", "RNN") and is_gru(inner["class_name"], inner.get("config", {}))


def _weights(layer, dtype):
    arrays = layer.arrays()
    if layer.kind != "Bidirectional":
        one = _direction(layer.kind, layer.config, arrays, layer.version)
        return build(
            [[one["cell"]]], dtype=dtype, batch_first=True, reset_after=one["reset_after"],
            activations=[one["activations"]], go_backwards=one["go_backwards"],
        )  # fmt: skip
    forward = layer.config["layer"]
    backward = layer.config.get("backward_layer") or forward
    half = len(arrays) // 2
    one = _direction(forward["class_name"], forward["config"], arrays[:half], layer.version)
    two = _direction(backward["class_name"], backward["config"], arrays[half:], layer.version)
    merge_mode = layer.config.get("merge_mode", "concat")
    if merge_mode is None:
        raise ValueError("merge_mode=None (two outputs) is not supported; convert the two layers one by one")
    if one["go_backwards"]:
        raise ValueError("the forward layer of this Bidirectional goes backwards, which is not supported")
    if one["reset_after"] != two["reset_after"] or one["cell"].w_hh.shape != two["cell"].w_hh.shape:
        raise ValueError("the two directions differ in units or reset_after; convert them one by one")
    return build(
        [[one["cell"], two["cell"]]], dtype=dtype, batch_first=True, reset_after=one["reset_after"],
        activations=[one["activations"], two["activations"]], merge_mode=merge_mode,
    )  # fmt: skip


def _direction(kind, config, arrays, version):
    """Cell and settings of a GRU, or of an RNN around a GRUCell."""
    go_backwards = bool(config.get("go_backwards", False))
    if kind == "RNN":
        config = config["cell"]["config"]
    cell, reset_after = _cell(arrays, config.get("reset_after"))
    units = config.get("units", config.get("output_dim"))
    if units is not None and cell.w_hh.shape[1] != units:
        raise ValueError(f"the layer has units={units}, but its recurrent kernel is for {cell.w_hh.shape[1]}")
    f = config.get("recurrent_activation", config.get("inner_activation", "sigmoid"))
    activations = (keras_activation(f, version), keras_activation(config.get("activation", "tanh"), version))
    return {"cell": cell, "reset_after": reset_after, "activations": activations, "go_backwards": go_backwards}


def _from_arrays(arrays, reset_after, activations, go_backwards, dtype):
    """A plain list of `get_weights()`: the configuration is the caller's, or the default of its Keras."""
    cell, reset_after = _cell(arrays, reset_after)
    if activations is None:
        activations = ("hard_sigmoid" if len(arrays) in (6, 9) else "sigmoid", "tanh")
    return build(
        [[cell]], dtype=dtype, batch_first=True, reset_after=reset_after, activations=activations,
        go_backwards=go_backwards,
    )  # fmt: skip


def _cell(arrays, reset_after):
    """The canonical cell of 2, 3 (Keras 2 and 3) or 9 (Keras 1) arrays, and whether it resets after."""
    if len(arrays) == 9:
        parts = [real_array(f"weights[{i}]", array) for i, array in enumerate(arrays)]
        shape, H = parts[0].shape, parts[0].shape[-1] if parts[0].ndim else 0
        for i, part in enumerate(parts):
            expected = (shape, (H, H), (H,))[i % 3]
            if part.ndim != len(expected) or part.shape != expected:
                raise ValueError(f"weights[{i}] of Keras 1 has shape {part.shape}, expected {expected}")
        arrays = [np.concatenate(parts[kind::3], axis=-1) for kind in range(3)]
        reset_after = False
    if len(arrays) not in (2, 3):
        raise ValueError(f"a GRU has 2 or 3 arrays, in Keras 1 nine; got {len(arrays)}")
    recurrent = real_array("recurrent_kernel", arrays[1], (None, None))
    H = recurrent.shape[0]
    recurrent = real_array("recurrent_kernel", recurrent, (H, 3 * H))
    kernel = real_array("kernel", arrays[0], (None, 3 * H))
    b_ih = b_hh = None
    if len(arrays) == 3:
        bias = real_array("bias", arrays[2])
        if reset_after is None:
            reset_after = bias.ndim == 2
        bias = real_array("bias", bias, (2, 3 * H) if reset_after else (3 * H,))
        b_ih, b_hh = (gates(row, "zrn") for row in bias) if reset_after else (gates(bias, "zrn"), None)
    elif reset_after is None:
        reset_after = True
    if H == 0 or kernel.shape[0] == 0:
        raise ValueError(f"kernel {kernel.shape} and recurrent_kernel {recurrent.shape} are empty")
    return Cell(gates(kernel.T, "zrn"), gates(recurrent.T, "zrn"), b_ih, b_hh), bool(reset_after)


def keras_activation(value, version):
    """Keras's name, serialised function or activation layer as an `Activation`.

    hard_sigmoid is clip(x/6 + 0.5, 0, 1) in Keras 3, and clip(0.2 x + 0.5, 0, 1) before.
    """
    settings: Mapping = {}
    if isinstance(value, Mapping):      # a function, or a layer such as LeakyReLU
        inner = value.get("config")
        settings = inner if isinstance(inner, Mapping) else {}
        value = inner if value.get("class_name") == "function" else value.get("class_name")
    name = {"LeakyReLU": "leaky_relu", "ELU": "elu", "ReLU": "relu", "Softmax": "softmax"}.get(value, value)
    if name is None:
        return activation("linear")
    if name == "hard_sigmoid":
        return activation(("hard_sigmoid", 0.2 if version.startswith(("0", "1", "2")) else 1 / 6, 0.5))
    if name == "leaky_relu":
        return activation(("leaky_relu", settings.get("negative_slope", settings.get("alpha", _slope(value)))))
    if name == "elu":
        return activation(("elu", settings.get("alpha", 1.0)))
    if name == "relu" and any(settings.get(key) for key in ("max_value", "negative_slope", "threshold")):
        raise ValueError(f"activation ReLU with {settings} is not supported")
    if name in _SAME:
        return activation(name)
    supported = ", ".join((*_SAME, "hard_sigmoid", "leaky_relu"))
    raise ValueError(f"activation {name!r} is not supported; supported are {supported}")


def _slope(value):
    """The default slope of the layer LeakyReLU, or of the function leaky_relu."""
    return 0.3 if value == "LeakyReLU" else 0.2
