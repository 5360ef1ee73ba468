"""What a Keras model or file says of one of its layers, and which recurrent network that is."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

#: Keras's layers and cells -> what they are here.
_KINDS = {
    "GRU": "gru", "GRUCell": "gru", "LSTM": "lstm", "LSTMCell": "lstm", "SimpleRNN": "rnn", "SimpleRNNCell": "rnn",
}  # fmt: skip
LAYERS = ("GRU", "LSTM", "SimpleRNN")
RECURRENT = (*LAYERS, "Bidirectional", "RNN")


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
        Path of names -> `Layer` of every recurrent layer, such as "encoder/memory".
    others : list of str
        The paths of the other layers with weights.
    """

    layers: dict[str, Layer]
    others: list[str]


def kind_of(kind: str, config: Mapping[str, Any]) -> str:
    """A key of `CELLS` for a layer of class `kind` with this configuration, in a wrapper or not; "" for any other."""
    if kind in LAYERS:
        return _KINDS[kind]
    inner = config.get("layer" if kind == "Bidirectional" else "cell")
    if not isinstance(inner, Mapping):
        return ""
    name = str(inner.get("class_name"))
    if kind == "RNN":
        return _KINDS.get(name, "") if name.endswith("Cell") else ""
    return kind_of(name, inner.get("config", {})) if name in (*LAYERS, "RNN") else ""
