"""What a network is, apart from what computes it: layers one after the other, and what is done around them.

A `Chain` is to a `Sequential` what `Weights` are to a single model: converters produce it, networks are built from it,
files store it, and what does not fit together is refused here and nowhere else.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cgru.weights import Weights

if TYPE_CHECKING:
    from cgru.config import Config
    from cgru.quantize import Quantized

Last = bool | Literal["h_n"]
LASTS: tuple[Last, ...] = (False, True, "h_n")


@dataclasses.dataclass(frozen=True)
class Chain:
    """Layers in their order.

    Attributes
    ----------
    layers : tuple of Weights
        Recurrent or Linear, of one dtype; each takes the features that the one before it gives.
    last : bool or "h_n"
        False: y has every step. True: y (N, O) is that of each row's last valid step. "h_n": the Linears behind the
        last recurrent layer see its final state, both directions side by side or merged, which is another thing than
        its last step where it runs from the end to the start.
    skip : bool
        Whether the first O features of x are added to y.
    batch_first : bool
        x and y are (N, T, features).

    Raises
    ------
    TypeError
        `layers` are no Weights; a flag is no bool.
    ValueError
        There are none; sizes, dtypes or layouts that do not fit; "h_n" without a recurrent layer; a skip of more
        features than x has.
    """

    layers: tuple[Weights, ...]
    _: dataclasses.KW_ONLY
    last: Last = False
    skip: bool = False
    batch_first: bool = False

    def __post_init__(self):
        layers = tuple(self.layers)
        object.__setattr__(self, "layers", layers)
        for name in ("skip", "batch_first"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise TypeError(f"{name} must be True or False; got {getattr(self, name)!r}")
            object.__setattr__(self, name, bool(getattr(self, name)))
        if isinstance(self.last, np.bool_):
            object.__setattr__(self, "last", bool(self.last))
        if not (isinstance(self.last, bool) or (isinstance(self.last, str) and self.last == "h_n")):
            raise ValueError(f"last must be False, True or 'h_n'; got {self.last!r}")
        if not layers:
            raise ValueError("layers is empty; a network needs at least one")
        for number, layer in enumerate(layers):
            if not isinstance(layer, Weights):
                raise TypeError(f"layers[{number}] must be the weights of a layer; got {type(layer).__name__}")
        self._check_fit()
        if self.last == "h_n" and not self.recurrent:
            raise ValueError("last='h_n' takes a final state, and none of the layers is recurrent; take last=True")
        if self.skip and self.output_size > self.input_size:
            raise ValueError(
                f"skip adds x to y, and y has {self.output_size} features, x only {self.input_size}; drop skip"
            )

    def _check_fit(self):
        for number, (below, layer) in enumerate(zip(self.layers, self.layers[1:], strict=False), start=1):
            if layer.config.input_size != below.config.output_size:
                raise ValueError(
                    f"layer {number} ({layer.config.cell.name}) takes {layer.config.input_size} features, and layer "
                    f"{number - 1} ({below.config.cell.name}) gives {below.config.output_size}"
                )
            if layer.dtype != below.dtype:
                raise ValueError(
                    f"layer {number} is {layer.dtype}, layer {number - 1} {below.dtype}; a network has one dtype: use "
                    "astype"
                )
        for number, layer in enumerate(self.layers):
            if layer.config.recurrent and layer.config.batch_first != self.batch_first:
                raise ValueError(
                    f"layer {number} ({layer.config.cell.name}) has batch_first={layer.config.batch_first}, the "
                    f"network batch_first={self.batch_first}: a network has one layout; use replace(batch_first=...)"
                )

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self.layers[0].dtype

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.layers[0].config.input_size

    @property
    def output_size(self) -> int:
        """Features of y."""
        return self.layers[-1].config.output_size

    @property
    def recurrent(self) -> tuple[int, ...]:
        """The places of the layers that keep a state."""
        return tuple(number for number, layer in enumerate(self.layers) if layer.config.recurrent)

    @property
    def selects(self) -> int | None:
        """The place of the first layer that sees one step alone, behind the last recurrent one; None without `last`."""
        if self.last is False:
            return None
        return self.recurrent[-1] + 1 if self.recurrent else 0

    def check_one_way(self) -> None:
        """Refuse to stream what needs steps that are still to come."""
        for number, layer in enumerate(self.layers):
            try:
                layer.config.check_one_way()
            except ValueError as error:
                raise ValueError(f"layer {number}: {error}") from None

    @property
    def stored(self) -> dict[str, np.ndarray | Quantized]:
        """Every layer's parameters, the layer's place before their names, as `torch.nn.Sequential` has it."""
        return {f"{number}.{name}": value for number, layer in enumerate(self.layers)
                for name, value in layer.stored.items()}  # fmt: skip

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """`stored` as plain arrays; quantised ones as what they stand for."""
        return {f"{number}.{name}": value for number, layer in enumerate(self.layers)
                for name, value in layer.tensors.items()}  # fmt: skip

    def with_layers(self, layers: Iterable[Weights]) -> Chain:
        """The same around other layers."""
        return dataclasses.replace(self, layers=tuple(layers))

    def astype(self, dtype) -> Chain:
        """The same in float32 or float64; see `Weights.astype`."""
        return self.with_layers(layer.astype(dtype) for layer in self.layers)

    def replace(self, *, batch_first: bool) -> Chain:
        """The same in another layout."""
        layers = tuple(
            layer.replace(batch_first=batch_first) if layer.config.recurrent else layer for layer in self.layers
        )
        return dataclasses.replace(self, layers=layers, batch_first=batch_first)


def as_chain(network: Chain | Weights) -> Chain:
    """Weights of one layer as a chain of it alone."""
    if isinstance(network, Chain):
        return network
    return Chain((network,), batch_first=network.config.batch_first)


def is_network(model: Any) -> bool:
    """Whether a model is a `Sequential`."""
    return hasattr(model, "chain")


def network_of(model: Any) -> Chain | Weights:
    """What a model computes: its chain, or its weights."""
    return model.chain if is_network(model) else model.weights


@contextlib.contextmanager
def naming_layer(number: int, config: Config) -> Iterator[None]:
    """Errors inside say which layer of a network they are of."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"layer {number} ({config.cell.name}): {error}") from error
