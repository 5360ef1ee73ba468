"""What commands ask of a model, be it one recurrent layer or stack, or a network: its layers, its states, its y."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cgru.chain import Chain, as_chain, is_network, network_of
from cgru.forward_chain import parts
from cgru.summary import multiply_adds

if TYPE_CHECKING:
    from cgru.config import Config
    from cgru.weights import Weights


def chain_of(model: Any) -> Chain:
    """A model as a network; one that is none as one of a single layer."""
    return as_chain(network_of(model))


def layers_of(model: Any) -> tuple[Weights, ...]:
    """The weights of a model's layers, first to last; one that is no network is one."""
    return chain_of(model).layers


class State(NamedTuple):
    """One plane of a model's state.

    Attributes
    ----------
    layer : int
        The place of its layer in a network.
    plane : str
        "h" or "c".
    name : str
        Without the place where there is only one recurrent layer: "h", "2.c".
    rows : int
        Layers times directions.
    units : int
    """

    layer: int
    plane: str
    name: str
    rows: int
    units: int


def recurrent_of(model: Any) -> list[tuple[int, Config]]:
    """(place, configuration) of each layer that keeps a state."""
    return [(place, layer.config) for place, layer in enumerate(layers_of(model)) if layer.config.recurrent]


def states_of(model: Any) -> list[list[State]]:
    """The planes of each recurrent layer's state."""
    recurrent = recurrent_of(model)
    return [
        [
            State(place, plane, plane if len(recurrent) == 1 else f"{place}.{plane}",
                  config.num_layers * config.num_directions, config.hidden_size)
            for plane in config.cell.states
        ]
        for place, config in recurrent
    ]  # fmt: skip


def as_state(model: Any, found: list[list[Any]]) -> Any:
    """A model's hx of its planes, in the order of `states_of`; None where none is given."""
    layers = [None if all(plane is None for plane in planes) else planes for planes in found]
    if all(planes is None for planes in layers):
        return None
    whole = [None if planes is None else planes[0] if len(planes) == 1 else tuple(planes) for planes in layers]
    return tuple(whole) if is_network(model) else whole[0]


def planes_of(hx: Any) -> list[Any]:
    """The planes of a state, in the order of `states_of`."""
    return [plane for part in hx for plane in planes_of(part)] if isinstance(hx, tuple) else [hx]


def one_way(model: Any) -> bool:
    """Whether no step needs a later one."""
    return all(layer.config.one_way for layer in layers_of(model))


def way(model: Any) -> str:
    """How a model runs that is not `one_way`, in a word."""
    both = any(layer.config.bidirectional for layer in layers_of(model))
    return "bidirectional" if both else "reversed"


def output_size(model: Any) -> int:
    """Features of y."""
    return chain_of(model).output_size


def gives_last(model: Any) -> bool:
    """Whether y is that of each row's last step alone."""
    return chain_of(model).last is not False


def y_shape(model: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of y for an x of this shape, (T, I) or with rows."""
    if not gives_last(model):
        return (*shape[:-1], output_size(model))
    rows = shape[:-2] if model.batch_first else shape[1:-1]
    return (*rows, output_size(model))


def model_multiply_adds(model: Any) -> int:
    """Multiply-adds of a step, for each row."""
    return sum(multiply_adds(layer) for layer in layers_of(model))


def weight_dtypes(model: Any) -> list[str]:
    """The types of all layers' matrices."""
    return [name for layer in layers_of(model) for name in layer.weight_dtypes]


def engines_of(model: Any) -> str:
    """The engines and instruction sets of a model's layers, in words."""
    return " and ".join(dict.fromkeys(f"{one.engine} on {one.isa}" for one in parts(model)))
