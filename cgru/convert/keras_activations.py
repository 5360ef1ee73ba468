"""Keras's activations: names, serialised functions and layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from cgru.activations import Activation, activation
from cgru.convert._errors import NotAChain
from cgru.convert.conventions import HARD_SIGMOID

_SAME = ("sigmoid", "tanh", "relu", "linear", "softsign", "softplus", "elu", "silu", "gelu")
#: Layers and operations of Keras 3 that are an activation, and second names -> the function.
ACTIVATIONS = {
    "LeakyReLU": "leaky_relu", "ELU": "elu", "ReLU": "relu", "Softmax": "softmax",
    "Tanh": "tanh", "Sigmoid": "sigmoid", "Relu": "relu", "Relu6": "relu6", "Silu": "silu", "Gelu": "gelu",
    "Elu": "elu", "Selu": "selu", "Softplus": "softplus", "Softsign": "softsign", "LeakyRelu": "leaky_relu",
    "HardSigmoid": "hard_sigmoid", "HardTanh": "hard_tanh", "LogSigmoid": "log_sigmoid", "HardSilu": "hard_silu",
    "LogSoftmax": "log_softmax", "Exp": "exponential", "swish": "silu", "celu": "elu",
}  # fmt: skip


def _named(value):
    """The name of a function, and what of a serialised function, layer or operation it comes from; its settings."""
    settings: Mapping = {}
    if isinstance(value, Mapping):      # a function, or a layer such as LeakyReLU
        inner = value.get("config")
        settings = inner if isinstance(inner, Mapping) else {}
        name = inner if value.get("class_name") == "function" else value.get("class_name")
        value = name if isinstance(name, str) else value        # a lambda's code has no name
    return (ACTIVATIONS.get(value, value) if isinstance(value, str) else value), value, settings


def keras_activation(value: Any, version: str) -> Activation:
    """Keras's name, serialised function or activation layer as an `Activation`.

    hard_sigmoid is clip(x/6 + 0.5, 0, 1) in Keras 3, and clip(0.2 x + 0.5, 0, 1) before.
    """
    name, value, settings = _named(value)
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
    if name == "gelu" and settings.get("approximate"):
        return activation("gelu_tanh")
    if isinstance(name, str) and name in _SAME:
        return activation(name)
    supported = ", ".join((*_SAME, "hard_sigmoid", "leaky_relu"))
    raise ValueError(f"activation {str(name)[:60]!r} is not supported; supported are {supported}")


def _slope(value):
    """The default slope of the layer LeakyReLU, or of the function leaky_relu."""
    return 0.3 if value == "LeakyReLU" else 0.2


class Pointwise(NamedTuple):
    """What a Dense's outputs go through: behind * function(before * x) + shift.

    Attributes
    ----------
    function : Activation or str
        As `cgru.activations` has it, "softmax" too.
    before, behind, shift : float
        For functions that another one is, scaled: 1, 1 and 0 for all others.
    """

    function: Any
    before: float = 1.0
    behind: float = 1.0
    shift: float = 0.0


#: Functions that are another one, scaled. SELU's numbers are those of its definition.
_SCALED = {
    "selu": Pointwise(("elu", 1.6732632423543772), behind=1.0507009873554805),
    "hard_tanh": Pointwise(("hard_sigmoid", 0.5, 0.5), behind=2.0, shift=-1.0),
    "relu6": Pointwise(("hard_sigmoid", 1 / 6, 0.0), behind=6.0),
    "log_sigmoid": Pointwise("softplus", before=-1.0, behind=-1.0),
}
#: What to write for those that there are not.
_BY_HAND = {
    "exponential": "np.exp(x)",
    "mish": "x * np.tanh(np.logaddexp(0, x))",
    "hard_silu": "x * np.clip(x / 6 + 0.5, 0, 1)",
    "hard_swish": "x * np.clip(x / 6 + 0.5, 0, 1)",
    "log_softmax": "x - np.log(np.exp(x).sum(axis=-1, keepdims=True))",
    "tanh_shrink": "x - np.tanh(x)",
    "squareplus": "(x + np.sqrt(x * x + 4)) / 2",
    "sparse_plus": "np.where(x > 1, x, np.where(x > -1, (x + 1) ** 2 / 4, 0))",
    "sparse_sigmoid": "np.clip((x + 1) / 2, 0, 1)",
    "soft_shrink": "np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)",
    "hard_shrink": "np.where(np.abs(x) > 0.5, x, 0)",
}


def pointwise(value: Any, version: str, rank: int | None = None) -> Pointwise:
    """Keras's activation, function, layer or operation, as what a Dense's outputs go through.

    Parameters
    ----------
    value : str, mapping or None
    version : str
        Of the Keras that it comes from.
    rank : int, optional
        Axes of x, where known: a softmax goes over the last one.

    Raises
    ------
    NotAChain
        There is no such function; the message says what does it by hand.
    """
    name, _, settings = _named(value)
    if name is not None and not isinstance(name, str):
        raise NotAChain("its activation is code of its own: write it in NumPy, behind a network without it")
    if name == "softmax":
        if settings.get("axis", -1) not in (-1, [-1], rank and rank - 1):
            raise NotAChain(f"its softmax goes over axis {settings['axis']}, expected the last, -1")
        return Pointwise("softmax")
    if name == "relu":
        return _relu(settings)
    if name in _SCALED:
        return _SCALED[name]
    if name in (None, *_SAME, "hard_sigmoid", "leaky_relu"):
        return Pointwise(keras_activation(value, version))
    by_hand = f"; by hand, in NumPy: x = {_BY_HAND[name]}" if name in _BY_HAND else ""
    raise NotAChain(f"its activation {name!r} is none of cgru.activations{by_hand}")


def _relu(settings):
    """A ReLU with max_value, negative_slope (alpha in Keras 1) or threshold."""
    slope, most = settings.get("negative_slope", settings.get("alpha")), settings.get("max_value")
    if settings.get("threshold") or (slope and most is not None) or (most is not None and not most > 0):
        raise NotAChain(
            f"its ReLU has max_value={most!r}, negative_slope={slope!r}, threshold={settings.get('threshold')!r}, and "
            "no activation here has them; by hand, in NumPy: x = np.where(x >= threshold, np.minimum(x, max_value), "
            "negative_slope * (x - threshold))"
        )
    if slope:
        return Pointwise(("leaky_relu", slope))
    if most is not None:
        return Pointwise(("hard_sigmoid", 1 / most, 0.0), behind=float(most))
    return Pointwise("relu")
