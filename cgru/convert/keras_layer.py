"""What a Keras model or file says of one of its layers, and whether that is a GRU."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

RECURRENT = ("GRU", "Bidirectional", "RNN")


class Layer(NamedTuple):
    """What Keras says of one layer: a layer in Keras's sense, which may be a wrapper around another.

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
    config: Mapping[str, Any]
    arrays: Callable[[], list[np.ndarray]]
    version: str


class Contents(NamedTuple):
    """What a Keras model or file holds.

    Attributes
    ----------
    layers : dict
        Path of names -> `Layer` of every GRU layer, such as "encoder/memory".
    others : list of str
        The paths of the other layers with weights.
    """

    layers: dict[str, Layer]
    others: list[str]


def is_gru(kind: str, config: Mapping[str, Any]) -> bool:
    """Whether a layer of class `kind` with this configuration is a GRU, in a wrapper or not."""
    if kind == "GRU":
        return True
    inner = config.get("layer" if kind == "Bidirectional" else "cell")
    if not isinstance(inner, Mapping):
        return False
    if kind == "RNN":
        return inner.get("class_name") == "GRUCell"
    return inner.get("class_name") in ("GRU", "RNN") and is_gru(inner["class_name"], inner.get("config", {}))
