"""Whole networks out of files: which converter reads one, and one layer alone where the file is no chain.

`cgru.convert.read_network` is the door to all of this.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cgru import stored
from cgru.chain import Chain, as_chain
from cgru.checks import warn
from cgru.convert._errors import (
    NotAChain,
    SeveralNetworks,
    chosen,
    naming,
    networks_in_words,
    reading,
    warn_left_out,
)
from cgru.model import model_of
from cgru.sequential import Sequential
from cgru.weights import Weights

if TYPE_CHECKING:
    from cgru.convert import Format

__all__ = ["built", "changed", "one_of", "reading", "whole"]

#: What reads one layer of such files -> the module whose ``chain_DOOR`` reads the whole network.
CHAINS = {
    "from_torch": "cgru.convert.torch_chain",
    "from_keras": "cgru.convert.keras_chain",
    "from_rtneural": "cgru.convert.rtneural_chain",
    "from_nam": "cgru.convert.nam",
    "from_onnx": "cgru.convert.onnx_chain",
}

_ORDERED = ("from_torch", "from_rtneural")      # files that may be state dicts, and take `layers`
_MOST_LAYERS = 4        # named in a warning


def whole(
    path: str,
    kind: Format | None,
    one: Callable[[], Weights],
    dtype: Any,
    layers: Iterable[str] | None = None,
    reset_after: bool | None = None,
) -> Chain | Weights:
    """All that a file computes, where it is a chain; else what `one` reads, with a warning of what is left out.

    Parameters
    ----------
    path : str
    kind : Format or None
        None is cgru's own.
    one : callable
        Reads its one recurrent layer or stack.
    dtype : numpy.dtype or None
    layers : iterable of str, optional
        The order of a state dict.
    reset_after : bool, optional
        Against what the file says, which ONNX's converter then does not warn of.
    """
    door = "" if kind is None else kind.door
    if isinstance(layers, str):
        raise TypeError(f"layers must be a sequence of names, such as ('gru', 'head'); got {layers!r}")
    if layers is not None and door not in _ORDERED:
        words = "a file of cgru" if kind is None else kind.words
        raise ValueError(f"{path}: layers={layers!r} is for a state dict of PyTorch; this is {words}: leave it out")
    if kind is None:
        network = stored.load(path)
        return _plain(network if dtype is None else network.astype(dtype), keep_last=True)
    if door not in CHAINS or (door == "from_torch" and layers is None):
        with reading(_ordered_by if door == "from_torch" else None):
            return one()
    options: dict[str, Any] = {} if layers is None else {"layers": tuple(layers)}
    if door == "from_onnx":
        options["linear_before_reset"] = reset_after
    try:
        with naming(path):
            chain = getattr(importlib.import_module(CHAINS[door]), f"chain_{door}")(path, dtype=dtype, **options)
            return _plain(chain, keep_last=layers is not None)
    except NotAChain as refusal:
        if layers is not None or not kind.option:      # it was asked for as a whole, or has no reader of one layer
            raise
        return _alone(path, one, refusal)


def _alone(path, one, refusal):
    """What `one` reads of a file that is no chain."""
    why = f" is no chain of layers that cgru has ({str(refusal).removeprefix(f'{path}: ')})"
    with reading(lambda name, left: f"the file{why}") as found:
        try:
            weights = one()
        except SeveralNetworks as several:
            several.why = why
            raise several from refusal
        except ValueError as error:
            raise ValueError(f"{path}{why}; and alone, {str(error).removeprefix(f'{path}: ')}") from refusal
    if not found.left:
        warn(f"only the {weights.config.cell.name} is read: the file{why}", UserWarning)
    return weights


def _ordered_by(name, left):
    """What the warning of a layer read alone says of a state dict: how to give the order that it lacks."""
    some = tuple(dict.fromkeys([str(name).rstrip("."), *(other.rpartition(".")[0] for other in left)]))
    given = f"layers={some!r}, if that is it," if len(some) <= _MOST_LAYERS else "layers=(...), with all prefixes,"
    return f"a state dict holds no order of its layers: {given} reads the whole network"


def one_of(path: str, network: Chain | Weights, name: Any) -> Weights:
    """One recurrent layer of a file of cgru; `name` is its place in a network.

    Raises
    ------
    ValueError
        No such layer, or several and none was asked for (`SeveralNetworks`); a name where there is only one.
    """
    if isinstance(network, Weights):
        if name is not None:
            raise ValueError(f"{path} is a file of cgru, which holds one model; leave out the name {name!r}")
        return network
    found = {str(place): network.layers[place] for place in network.recurrent}
    words = networks_in_words((weights.config.cell for weights in found.values()), "layer")
    with naming(path):
        place = chosen(found, None if name is None else str(name), words, "name")
    others = (f"{layer.config.cell.name} (layer {k})" for k, layer in enumerate(network.layers) if str(k) != place)
    warn_left_out(others, place, name, found[place].config.cell.name)
    return found[place]


def _plain(network: Chain | Weights, *, keep_last: bool) -> Chain | Weights:
    """A chain of one recurrent layer and no skip as that layer, which gives every step and the final state too.

    Keras's return_sequences=False is no more than that; with `keep_last` a network that gives one step stays one.
    """
    if isinstance(network, Weights) or len(network.layers) > 1 or network.skip or not network.recurrent:
        return network
    return network if keep_last and network.last is not False else network.layers[0]


def changed(network: Chain | Weights, fields: Mapping[str, Any], skip: bool | None = None) -> Chain | Weights:
    """The same with other fields of `Config`, of each recurrent layer that has such an option; and with the skip.

    Raises
    ------
    ValueError
        No layer has it, or other parameters would be wanted.
    """
    if isinstance(network, Weights):
        network = _layer_changed(network, fields) if fields else network
        return dataclasses.replace(as_chain(network), skip=True) if skip else network
    if "batch_first" in fields:
        network = network.replace(batch_first=fields["batch_first"])
    for name, value in fields.items():
        having = [place for place in network.recurrent if name in network.layers[place].config.cell.options]
        if not having and name != "batch_first":
            raise ValueError(f"no layer of this network has an option {name}; got {value!r}")
        layers = list(network.layers)
        for place in having:
            layers[place] = _layer_changed(layers[place], {name: value})
        network = network.with_layers(layers)
    return network if skip is None else dataclasses.replace(network, skip=skip)


def _layer_changed(weights, fields):
    if "nonlinearity" in fields:
        if "nonlinearity" not in weights.config.cell.options:
            raise ValueError(f"nonlinearity is for an RNN; these are {weights.config.cell.name} weights")
        fields = {name: value for name, value in fields.items() if name != "nonlinearity"} | {
            "activations": fields["nonlinearity"]
        }
    return weights.replace(**fields)


def built(network: Chain | Weights, engine: str = "auto") -> Any:
    """The model: a `Sequential` of a chain, else what `model_of` makes."""
    return Sequential.from_chain(network, engine) if isinstance(network, Chain) else model_of(network, engine)
