"""Keras's activations: names, serialised functions and layers."""

from collections.abc import Mapping
from typing import Any

from cgru.activations import Activation, activation
from cgru.convert.conventions import HARD_SIGMOID

_SAME = ("sigmoid", "tanh", "relu", "linear", "softsign", "softplus", "elu")


def keras_activation(value: Any, version: str) -> Activation:
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
        meant = "Keras 2" if version.startswith(("0", "1", "2")) else "Keras 3"
        return activation(("hard_sigmoid", HARD_SIGMOID[meant], 0.5))
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
