"""What `cgru.check` asks of a network as of a single model: the changes that it tries, and what its y is like."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from cgru.chain import Chain, as_chain, is_network
from cgru.study import changes
from cgru.study.changes import Change
from cgru.weights import Weights


class Everywhere(NamedTuple):
    """A `Change` of every layer of a network that has such a convention, or one of the network itself."""

    dimension: str
    text: str
    layers: Mapping[int, Change] = {}
    network: tuple[tuple[str, Any], ...] = ()      # (field of `Chain`, value) pairs
    swap_y: bool = False


class Form(NamedTuple):
    """What y is like.

    Attributes
    ----------
    batch_first : bool
    padded_first : bool
        What stands past a row's length stands in front.
    one_way : bool
        No step needs a later one.
    last : bool
        There is one step alone.
    """

    batch_first: bool
    padded_first: bool
    one_way: bool
    last: bool


def engine_of(model: Any) -> str:
    """The engine of a model, of a network that of its first layer."""
    return model.layers[0].engine if is_network(model) else model.engine


def form_of(network: Chain | Weights) -> Form:
    """The `Form` of a network's y."""
    chain = as_chain(network)
    configs = [layer.config for layer in chain.layers]
    turns = sum(config.num_layers for config in configs if config.go_backwards)
    return Form(chain.batch_first, turns % 2 == 1, all(config.one_way for config in configs), chain.last is not False)


def quantized(network: Chain | Weights) -> bool:
    """Whether there are weights in 16 or 8 bits."""
    return any(layer.quantized_layers() for layer in as_chain(network).layers)


def changes_of(network: Chain | Weights, batched: bool) -> list[list[Any]]:
    """Every change that makes sense, by dimension, in the order to apply them."""
    if isinstance(network, Weights):
        return changes.changes(network.config, batched)
    found: dict[str, dict[str, Everywhere]] = {}
    for place in network.recurrent:
        for change in (one for some in changes.changes(network.layers[place].config, False) for one in some):
            same = found.setdefault(change.dimension, {})
            layers = same[change.text].layers if change.text in same else {}
            same[change.text] = Everywhere(change.dimension, change.text, {**layers, place: change})
    dimensions = [list(some.values()) for some in found.values()]
    layout = changes.layouts(network.batch_first) if batched else []
    return [
        *dimensions,
        _skips(network),
        _lasts(network),
        [Everywhere(one.dimension, one.text, network=one.config, swap_y=one.swap_y) for one in layout],
    ]


def _skips(network):
    if network.output_size > network.input_size:
        return []
    text = "no x added to y, skip=False" if network.skip else "x added to y, skip=True"
    return [Everywhere("skip", text, network=(("skip", not network.skip),))]


def _lasts(network):
    if network.last is False or not network.recurrent or form_of(network).one_way:
        return []
    texts = {True: "the last step of each row, last=True", "h_n": "the final state, last='h_n'"}
    other = True if network.last == "h_n" else "h_n"
    return [Everywhere("last", texts[other], network=(("last", other),))]


def applied(network: Chain | Weights, chosen: tuple[Any, ...]) -> Chain | Weights:
    """The network with the changes made; quantised weights become the float32 numbers that they stand for."""
    if isinstance(network, Weights):
        return changes.apply(network, chosen)
    layers = [layer.dequantize() for layer in network.layers]
    for place in network.recurrent:
        own = [change.layers[place] for change in chosen if place in change.layers]
        layers[place] = changes.apply(layers[place], own) if own else layers[place]
    network = network.with_layers(layers)
    fields = {name: value for change in chosen for name, value in change.network}
    if "batch_first" in fields:
        network = network.replace(batch_first=fields.pop("batch_first"))
    return dataclasses.replace(network, **fields) if fields else network
