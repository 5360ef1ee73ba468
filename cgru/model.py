"""What every model is, whatever it computes: a class over unchanging weights, with its properties, copies and files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cgru import engines, stored
from cgru.checks import check_dtype, real_array
from cgru.config import Config
from cgru.forward import named_planes
from cgru.properties import Properties
from cgru.weights import Weights, weights_from_state_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from numpy.typing import DTypeLike

    from cgru.engines.protocols import Direction

    Rng = int | Sequence[int] | np.random.Generator | None

StrPath = str | os.PathLike[str]


class Model(Properties):
    """Base of all models: what they are. What they compute is a subclass's business."""

    __slots__ = {  # noqa: RUF023
        "config": "Config: sizes and options.",
        "weights": "Weights: configuration and parameters, read-only.",
        "dtype": "numpy.dtype, float32 or float64.",
        "engine": "Name of the engine that computes.",
        "isa": "The instruction set that it computes with; of mixed weights the first layer's.",
        "directions": "What the engine made of the weights: an object per layer and direction, in the order of h_n.",
    }
    kind: ClassVar[str]     # a key of cgru.cells.CELLS
    classes: ClassVar[dict[str, type[Model]]] = {}      # by kind

    config: Config
    weights: Weights
    dtype: np.dtype
    engine: str
    isa: str
    directions: tuple[Direction, ...]

    # ---- construction

    def __init_subclass__(cls, kind: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if kind is not None:
            cls.kind = kind
            Model.classes[kind] = cls

    def _draw(self, dropout, dtype, engine, rng, initial_state, **options):
        """Parameters as PyTorch draws them, uniform in +-1/sqrt(hidden_size), of a Linear in +-1/sqrt(in_features)."""
        _check_dropout(dropout)
        engines.check_engine(engine)
        config = Config(kind=self.kind, initial_state=initial_state is not None, **options)
        dtype = check_dtype(dtype)
        try:
            rng = np.random.default_rng(rng)
        except (TypeError, ValueError) as error:
            raise type(error)(f"rng must be a seed or a numpy.random.Generator; got {rng!r}: {error}") from error
        bound = 1.0 / np.sqrt(config.hidden_size if config.recurrent else config.input_size)
        given = {} if initial_state is None else named_planes(config.cell, "initial_state", initial_state)
        stored = dict(zip((f"{plane}_0" for plane in config.cell.states), given, strict=False))
        tensors = {
            name: _stored(stored[name], shape) if name in stored
            else rng.uniform(-bound, bound, shape).astype(dtype, copy=False)
            for name, shape in config.shapes().items()
        }  # fmt: skip
        self._build(Weights(config, tensors, dtype), engine)

    def _build(self, weights, engine):
        config, types = weights.config, weights.weight_dtypes
        engine = engines.choose(engine, weights.dtype, quantized=bool(weights.quantized_layers()))
        directions = tuple(
            engines.load(engine, types[layer]).Direction(*weights.direction(suffix), **engines.options(config, reverse))
            for layer, reverse, suffix in config.directions()
        )
        isa = engines.row_of(engine, types[0]).name
        parts = {"config": config, "weights": weights, "dtype": weights.dtype, "engine": engine, "isa": isa}
        for name, value in (parts | {"directions": directions}).items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_weights(cls, weights: Weights, engine: str = "auto") -> Self:
        """A model of weights that a converter made.

        Parameters
        ----------
        weights : Weights
            Of this class's kind.
        engine : str, default "auto"
            As in `GRU`.

        Raises
        ------
        ValueError
            Weights of another kind; no such engine, or one that does not compute this.
        """
        if weights.config.kind != cls.kind:
            raise ValueError(f"these are {weights.config.cell.name} weights, not those of {cls.__name__}")
        model = cls.__new__(cls)
        model._build(weights, engine)
        return model

    @classmethod
    def _from_state_dict(cls, mapping, *, prefix, dtype, engine, **options):
        engines.check_engine(engine)
        weights = weights_from_state_dict(mapping, prefix=prefix, dtype=dtype, kind=cls.kind, **options)
        return cls.from_weights(weights, engine)

    def __reduce__(self):
        return _rebuild, (type(self), self.config, self.weights.stored, self.engine)

    # ---- what the model is

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model):
            return NotImplemented
        return type(self) is type(other) and self.weights == other.weights

    def __hash__(self) -> int:
        return hash(self.weights)

    # ---- other forms of it

    def state_dict(self) -> dict[str, np.ndarray]:
        """The parameters under PyTorch's names, as new arrays; quantised ones as the float32 numbers they stand for.

        A model that is built from these of an int8 model gives other outputs: there the activations are rounded too.

        Returns
        -------
        dict of str to ndarray
            ``weight_ih_l{k}[_reverse]`` (G, I or D*H), ``weight_hh_l{k}`` (G, H), ``bias_ih_l{k}``,
            ``bias_hh_l{k}`` (G,); for a GRU G = 3H, gate order r, z, n; RNN H; LSTM 4H, i, f, g, o.
        """
        return {name: array.copy() for name, array in self.weights.tensors.items()}

    def astype(self, dtype: DTypeLike, *, engine: str = "auto") -> Self:
        """The same model in float32 or float64, rounded where it must be.

        Raises
        ------
        TypeError
            Another dtype.
        ValueError
            An engine that does not exist or does not compute in `dtype`; a quantised model in float64.
        """
        return self.from_weights(self.weights.astype(dtype), engine)

    def quantize(self, weight_dtype: str, *, layers: Iterable[int] | None = None) -> Self:
        """The same model with its matrices rounded to 16 or 8 bits: less to read, so faster; for inference.

        Inputs, states, outputs, gates and biases stay float32. What is computed is said in `cgru.quantize`. Whole, in
        chunks, stepped, batched, threaded and on every instruction set with fused multiply-adds it gives the same bits.

        Parameters
        ----------
        weight_dtype : {"bfloat16", "int8"}
            bfloat16: half the bytes, weights to 8 bits, otherwise float32's arithmetic. int8: a quarter, weights in
            255 steps with one scale per row; x and h are rounded likewise at every step.
        layers : iterable of int, optional
            The layers to quantise, both directions of them; negative numbers count from the end. By default all. The
            others stay as they are: one layer often suffers most.

        Raises
        ------
        TypeError
            `layers` that are no numbers.
        ValueError
            Another type; a float64 model or one on engine "blas"; a layer that is quantised already or is not there;
            weights that are not finite, or too many features for int8 (133,144).

        Examples
        --------
        >>> small = cgru.GRU(40, 96, num_layers=2, rng=0).quantize("int8")
        >>> small.weight_dtype, small.nbytes
        ('int8', 103680)
        """
        weights = self.weights.quantize(weight_dtype, layers)
        if self.engine != "packed":
            raise ValueError(
                f"engine {self.engine!r} computes no {weight_dtype} weights: take replace(engine='packed') first"
            )
        return self.from_weights(weights, self.engine)

    def dequantize(self) -> Self:
        """The float32 model of the rounded weights; of one that is not quantised another with the same weights."""
        return self.from_weights(self.weights.dequantize(), self.engine)

    def save(self, path: StrPath) -> None:
        """Write the model to a safetensors file, configuration in its metadata; read it with `cgru.load`.

        It is written atomically: under its name there is always a whole file, the old one or the new one.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        OSError
            The file cannot be written.
        """
        stored.save(path, self.weights)


def model_of(weights: Weights, engine: str = "auto") -> Any:
    """The model, of the class that belongs to the weights' kind: a GRU, an LSTM, an RNN or a Linear."""
    return Model.classes[weights.config.kind].from_weights(weights, engine)


def _stored(given, shape):
    """One plane of a constructor's initial state; of a pair either may be None, for zeros."""
    name, value = given
    return np.zeros(shape) if value is None else real_array(name, value, shape)


def _check_dropout(dropout):
    """PyTorch's argument in PyTorch's place; a bool there means that bidirectional was meant."""
    if isinstance(dropout, bool | np.bool_):
        raise TypeError(
            f"dropout must be 0.0; got {dropout}: as in PyTorch, dropout stands before bidirectional; pass "
            f"bidirectional={dropout} by name"
        )
    if not isinstance(dropout, int | float | np.number):
        raise TypeError(f"dropout must be 0.0; got {dropout!r} of type {type(dropout).__name__}")
    if dropout != 0:
        raise ValueError(f"dropout must be 0.0 here; got {dropout!r}: there is none between the layers")


def _rebuild(cls, config, stored, engine):
    """Unpickle; an engine that this machine lacks is replaced by the automatic choice."""
    if engine not in engines.ENGINES or not engines.loads(engine):
        engine = "auto"
    return cls.from_weights(Weights(config, stored), engine)
