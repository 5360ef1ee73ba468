"""What a Keras model or file says of its layers, and which recurrent network a layer is."""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

#: Keras's layers and cells -> what they are here.
_KINDS = {
    "GRU": "gru", "GRUCell": "gru", "LSTM": "lstm", "LSTMCell": "lstm", "SimpleRNN": "rnn", "SimpleRNNCell": "rnn",
}  # fmt: skip
LAYERS = ("GRU", "LSTM", "SimpleRNN")
RECURRENT = (*LAYERS, "Bidirectional", "RNN")

#: Layers that do nothing to x when a model is used. Keras 3.15 writes a Masking's mask as two operations beside it.
PASSED = (
    "InputLayer", "Dropout", "SpatialDropout1D", "AlphaDropout", "GaussianDropout", "GaussianNoise",
    "ActivityRegularization", "Identity", "Masking", "NotEqual", "Any",
)  # fmt: skip
#: Those of them, and of others, that do something where they are called with training=True.
TRAINING = (*PASSED[1:6], "BatchNormalization")


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
    """The recurrent layers that a Keras model or file holds.

    Attributes
    ----------
    layers : dict
        Path of names -> `Layer` of every recurrent layer, such as "encoder/memory".
    others : list of str
        The paths of the other layers with weights, and of those without that change the outputs.
    """

    layers: dict[str, Layer]
    others: list[str]


class Network(NamedTuple):
    """A whole Keras model.

    Attributes
    ----------
    model : dict
        Its class_name and config.
    arrays : dict
        Path of names -> what gives the ``get_weights()`` of every layer that has weights.
    version : str
        Of the Keras that the configuration comes from.
    """

    model: Mapping[str, Any]
    arrays: Mapping[str, Callable[[], list[np.ndarray]]]
    version: str


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """A layer of a model, as the model's configuration has it; a TimeDistributed is what it is around.

    Attributes
    ----------
    path : str
        Its name, led by those of the models around it: "encoder/memory".
    kind : str
        Its class; of one that is not Keras's own, with its module.
    config : dict
    folder : str
        Its group in model.weights.h5.
    nodes : list
        Its inbound nodes, one for each call of it in a functional model.
    timed : bool
        Whether it is applied to every step of its own.
    model : dict or None
        The entry itself, where it is a model in the model.
    """

    path: str
    kind: str
    config: Mapping[str, Any]
    folder: str
    nodes: list[Any]
    timed: bool
    model: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


def parts(model: Mapping[str, Any], around: Part | None = None) -> Iterator[Part]:
    """Every layer of a model, which may be the model in the part `around`; models in it are parts, and not entered."""
    outer, folder, timed = (f"{around.path}/", around.folder, around.timed) if around else ("", "", False)
    config = model["config"]
    entries = config if isinstance(config, list) else config.get("layers", [])      # a list in Keras 1's Sequential
    seen: Counter[str] = Counter()
    for entry in entries:
        name, nodes = _name(entry), entry.get("inbound_nodes") or []
        snake = _snake_case(entry["class_name"])
        group = f"{folder}/layers/{snake}" + (f"_{seen[snake]}" if seen[snake] else "")
        seen[snake] += 1
        each = timed
        while _kind(entry) == "TimeDistributed":
            entry, group, each = entry["config"]["layer"], f"{group}/layer", True
        inner = entry["config"]
        nested = entry if isinstance(inner, list) or "layers" in inner else None
        yield Part(outer + name, _kind(entry), inner, group, nodes, each, nested)


def leaves(model: Mapping[str, Any], around: Part | None = None) -> Iterator[Part]:
    """Every layer of a model that is no model, in their order, those of inner models at their place."""
    for part in parts(model, around):
        if part.model is not None:
            yield from leaves(part.model, part)
        else:
            yield part


def _name(entry):
    config = entry["config"]
    name = entry.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
    return str(name or entry["class_name"].lower())


def _kind(entry):
    kind, module = str(entry["class_name"]), entry.get("module")
    own = module is None or str(module).partition(".")[0] in ("keras", "tf_keras", "tensorflow", "builtins")
    return kind if own and (module or not entry.get("registered_name")) else f"{module or 'custom'}.{kind}"


def _snake_case(name):
    """GRU -> gru, TimeDistributed -> time_distributed, as Keras names the groups."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def is_recurrent(part: Part) -> bool:
    """Whether a part is a recurrent network that there is here."""
    return not part.timed and part.kind in RECURRENT and bool(kind_of(part.kind, part.config))


def passes(kind: str, config: Mapping[str, Any]) -> bool:
    """Whether a layer of class `kind` does nothing to x when a model is used."""
    return kind in PASSED or (kind == "Activation" and config.get("activation") in ("linear", None))


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
