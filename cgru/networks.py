"""What a network is, as `cgru.model` has it of a single model: layers over a `Chain`, copies, files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from cgru import stored
from cgru.chain import Chain
from cgru.model import Model, model_of
from cgru.properties import Exported, common_type
from cgru.summary import network_lines, text_of
from cgru.weights import layer_numbers

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import DTypeLike

    from cgru.chain import Last
    from cgru.model import StrPath


_OPTIONS = ("last", "skip", "batch_first")


class Network(Exported):
    """Base of `Sequential`: everything but what it computes."""

    __slots__ = {  # noqa: RUF023
        "layers": "The models, first to last.",
        "chain": "Chain: the layers' weights and what is done around them, read-only.",
    }
    layers: tuple[Model, ...]
    chain: Chain

    @classmethod
    def _made(cls, layers, chain):
        net = cls.__new__(cls)
        object.__setattr__(net, "layers", tuple(layers))
        object.__setattr__(net, "chain", chain)
        return net

    @classmethod
    def from_chain(cls, chain: Chain, engine: str = "auto") -> Self:
        """A network of a `Chain` that a converter made.

        Parameters
        ----------
        chain : Chain
        engine : str, default "auto"
            Of every layer, as in `GRU`.

        Raises
        ------
        ValueError
            No such engine, or one that does not compute this.
        """
        return cls._made((model_of(weights, engine) for weights in chain.layers), chain)

    def _with(self, layers):
        """The same around other models."""
        layers = tuple(layers)
        return self._made(layers, self.chain.with_layers(layer.weights for layer in layers))

    def __reduce__(self):
        return _rebuild, (type(self), self.layers, {name: getattr(self, name) for name in _OPTIONS})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Network):
            return NotImplemented
        return type(self) is type(other) and self.chain == other.chain

    def __hash__(self) -> int:
        return hash(self.chain)

    # ---- what it is

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.chain.input_size

    @property
    def output_size(self) -> int:
        """Features of y."""
        return self.chain.output_size

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self.chain.dtype

    @property
    def last(self) -> Last:
        """Whether y is that of the last step: False, True or "h_n"."""
        return self.chain.last

    @property
    def skip(self) -> bool:
        """Whether x is added to y."""
        return self.chain.skip

    @property
    def batch_first(self) -> bool:
        """Whether x is (N, T, I)."""
        return self.chain.batch_first

    @property
    def weight_dtype(self) -> str:
        """The type of its matrices, or "mixed" where layers differ."""
        return common_type(self.weight_dtypes)

    @property
    def weight_dtypes(self) -> tuple[str, ...]:
        """Each layer's `weight_dtype`."""
        return tuple(layer.weight_dtype for layer in self.layers)

    @property
    def num_parameters(self) -> int:
        """How many numbers it has learnt."""
        return sum(layer.num_parameters for layer in self.layers)

    @property
    def nbytes(self) -> int:
        """Bytes of the parameters."""
        return sum(layer.nbytes for layer in self.layers)

    def summary(self) -> str:
        """The chain with sizes, parameters and the cost of a step, in lines: what ``cgru info`` prints."""
        return text_of(network_lines(self))

    def __repr__(self) -> str:
        names = [f"{name}={getattr(self, name)!r}" for name in _OPTIONS if getattr(self, name)]
        return f"{type(self).__name__}({', '.join([repr(list(self.layers)), *names])})"

    # ---- other forms of it

    def state_dict(self) -> dict[str, np.ndarray]:
        """The parameters as new arrays, under the names that `torch.nn.Sequential` would have: "0.weight_ih_l0"."""
        return {name: array.copy() for name, array in self.chain.tensors.items()}

    def astype(self, dtype: DTypeLike, *, engine: str = "auto") -> Self:
        """The same network in float32 or float64; see `GRU.astype`."""
        return self._with(layer.astype(dtype, engine=engine) for layer in self.layers)

    def quantize(self, weight_dtype: str, *, layers: Iterable[int] | None = None) -> Self:
        """The same network with its matrices rounded to 16 or 8 bits; see `GRU.quantize`.

        Parameters
        ----------
        weight_dtype : {"bfloat16", "int8"}
        layers : iterable of int, optional
            The places in the network of the layers to quantise; negative ones count from the end. By default all but
            diagonal Linears, such as a normaliser, which would lose most and gain nothing.

        Raises
        ------
        TypeError, ValueError
            As of `GRU.quantize`.
        """
        places = layer_numbers(layers, len(self.layers))
        if layers is None:
            places = {number for number in places if not _diagonal(self.layers[number])}
        return self._with(
            layer.quantize(weight_dtype) if number in places else layer for number, layer in enumerate(self.layers)
        )

    def dequantize(self) -> Self:
        """The float32 network of the rounded weights."""
        return self._with(layer.dequantize() for layer in self.layers)

    def replace(self, *, batch_first: bool | None = None, engine: str | None = None) -> Self:
        """The same parameters, taking x in another layout or computed by another engine."""
        chain = self.chain if batch_first is None else self.chain.replace(batch_first=batch_first)
        pairs = zip(chain.layers, self.layers, strict=True)
        made = (model_of(weights, layer.engine if engine is None else engine) for weights, layer in pairs)
        return self._made(made, chain)

    def save(self, path: StrPath) -> None:
        """Write the network to a safetensors file; read it with `cgru.load`. See `GRU.save`."""
        stored.save(path, self.chain)


def _diagonal(model):
    """Whether it is a Linear that goes over each feature by itself."""
    if model.config.recurrent or model.config.input_size != model.config.hidden_size or model.config.input_size == 1:
        return False
    weight = model.weights.tensors["weight"]
    return np.count_nonzero(weight) == np.count_nonzero(np.diagonal(weight))


def _rebuild(cls, layers, options):
    return cls(layers, **options)
