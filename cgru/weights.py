"""Canonical weights: PyTorch's names and layout in plain NumPy arrays, with the configuration they belong to.

Gate order r, z, n for a GRU, where z keeps the old h, and i, f, g, o for an LSTM; input and recurrent bias apart.
Matrices may be quantised (quantize.py), the other parameters are arrays of one dtype. Converters produce `Weights`,
models are built from them, files store them. Parameters and their dtype are checked here and nowhere else. No framework
is imported.
"""

import dataclasses
import operator
import re
from collections.abc import Mapping
from itertools import islice

import numpy as np

from cgru.cells import CELLS, LINEAR
from cgru.checks import check_dtype, common_dtype, frozen, real_array, warn
from cgru.config import Config
from cgru.quantize import Quantized, check_weight_dtype, quantized


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """A configuration and its parameters.

    Attributes
    ----------
    config : Config
    stored : dict of str to ndarray or Quantized
        Exactly the names and shapes of ``config.shapes()``; arrays are C-contiguous, read-only, all of one dtype. Given
        may be anything that `real_array` reads; it is copied. The matrices of a layer may be `Quantized`, all of them
        in one weight type.
    dtype : numpy.dtype
        float32 or float64. By default float64 where every parameter is float64, else float32; with quantised matrices
        float32.

    Raises
    ------
    ValueError
        A parameter is missing, unknown or of the wrong shape (all of them are named); quantised is what is no matrix, a
        part of a layer, or beside float64.
    TypeError
        A parameter is not numeric, or the dtype is neither float32 nor float64.

    Warns
    -----
    RuntimeWarning
        A parameter holds NaN or infinity.
    """

    config: Config
    stored: Mapping[str, np.ndarray | Quantized]
    dtype: np.dtype = None  # type: ignore[assignment]   # None in, a dtype out

    def __post_init__(self):
        given = {
            name: value if isinstance(value, Quantized) else real_array(name, value)
            for name, value in self.stored.items()
        }
        _check_shapes(self.config, given)
        dtype = _dtype_of(self.config, given, self.dtype)
        with np.errstate(over="ignore"):      # an infinity is warned of below
            stored = {
                name: given[name] if isinstance(given[name], Quantized) else frozen(given[name], dtype)
                for name in self.config.shapes()
            }
        odd = [
            name for name, array in stored.items()
            if not isinstance(array, Quantized) and not np.isfinite(array).all()
        ]  # fmt: skip
        if odd:
            warn(f"NaN or infinity in {', '.join(odd)}", RuntimeWarning)
        object.__setattr__(self, "stored", stored)
        object.__setattr__(self, "dtype", dtype)

    @classmethod
    def unchecked(cls, config, stored):
        """Weights over C-contiguous arrays of one dtype as they are: not checked, not copied, and not frozen.

        Whoever calls this keeps them as they are for as long as a model uses them.
        """
        weights = cls.__new__(cls)
        dtypes = (value.dtype for value in stored.values() if not isinstance(value, Quantized))
        parts = {"config": config, "stored": stored, "dtype": next(dtypes, np.dtype(np.float32))}
        for name, value in parts.items():
            object.__setattr__(weights, name, value)
        return weights

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """The parameters as plain arrays, by PyTorch's names; quantised ones as what they stand for, made anew."""
        return {
            name: value.float32() if isinstance(value, Quantized) else value for name, value in self.stored.items()
        }

    @property
    def weight_dtypes(self) -> tuple[str, ...]:
        """The type of each layer's matrices: "float32", "float64", "bfloat16" or "int8"."""
        if not self._any_quantized():       # quick, since modules that train ask at every call
            return (str(self.dtype),) * self.config.num_layers
        first = {layer: self.stored[name] for layer, name in self.config.matrices()}     # a layer's are of one type
        return tuple(
            value.weight_dtype if isinstance(value, Quantized) else str(self.dtype) for value in first.values()
        )

    def astype(self, dtype):
        """The same weights in `dtype`."""
        dtype = check_dtype(dtype)
        if dtype == self.dtype:
            return self
        if self.quantized_layers():
            raise ValueError(f"quantised weights are float32's: dequantize() the model before it becomes {dtype}")
        return Weights(self.config, self.stored, dtype)

    def _any_quantized(self):
        return any(isinstance(value, Quantized) for value in self.stored.values())

    def quantized_layers(self) -> list[int]:
        """The layers whose matrices are quantised."""
        types = self.weight_dtypes if self._any_quantized() else ()
        return [layer for layer, name in enumerate(types) if name != str(self.dtype)]

    def quantize(self, weight_dtype, layers=None):
        """The same parameters with the matrices of `layers`, by default of all, in bfloat16 or int8.

        Raises
        ------
        TypeError, ValueError
            As of `cgru.model.Model.quantize`.
        """
        check_weight_dtype(weight_dtype)
        if self.dtype != np.float32:
            raise ValueError(f"only float32 weights are quantised; got {self.dtype}: take astype(numpy.float32) first")
        chosen = layer_numbers(layers, self.config.num_layers)
        twice = sorted(chosen.intersection(self.quantized_layers()))
        if twice:
            held = ", ".join(f"layer {layer} is {self.weight_dtypes[layer]}" for layer in twice)
            raise ValueError(f"{held} already, and is not quantised again: quantise the float32 model")
        names = {name for layer, name in self.config.matrices() if layer in chosen}
        stored = {
            name: quantized(name, np.asarray(value), weight_dtype) if name in names else value
            for name, value in self.stored.items()
        }
        return Weights(self.config, stored, self.dtype)

    def dequantize(self):
        """The same with plain arrays of what quantised matrices stand for."""
        return Weights(self.config, self.tensors, self.dtype) if self.quantized_layers() else self

    def replace(self, **changes):
        """The same arrays under another configuration, which must want the same shapes."""
        config = dataclasses.replace(self.config, **changes)
        if config.shapes() != self.config.shapes():
            raise ValueError(f"{', '.join(changes)} cannot be replaced: other parameters would be needed")
        return Weights.unchecked(config, self.stored)

    def direction(self, suffix):
        """(w_ih, w_hh, b_ih, b_hh) of one direction; zeros where the configuration has no bias.

        Of a Linear, which multiplies no state, w_hh is (0, O) and b_hh is (0,).
        """
        if not self.config.recurrent:
            weight, H = self.stored["weight"], self.config.hidden_size
            bias = self.stored["bias"] if self.config.bias else np.zeros(H, self.dtype)
            return weight, np.zeros((0, H), self.dtype), bias, np.zeros(0, self.dtype)
        w_ih, w_hh = self.stored[f"weight_ih_{suffix}"], self.stored[f"weight_hh_{suffix}"]
        if self.config.bias:
            return w_ih, w_hh, self.stored[f"bias_ih_{suffix}"], self.stored[f"bias_hh_{suffix}"]
        zeros = np.zeros(w_ih.shape[0], self.dtype)
        return w_ih, w_hh, zeros, zeros

    def __eq__(self, other):
        if not isinstance(other, Weights):
            return NotImplemented
        return (self.config, self.dtype) == (other.config, other.dtype) and all(
            _equal(value, other.stored[name]) for name, value in self.stored.items()
        )

    def __hash__(self):
        return hash((self.config, self.dtype))


def _equal(one, other):
    if type(one) is not type(other):
        return False
    return one == other if isinstance(one, Quantized) else np.array_equal(one, other, equal_nan=True)


def layer_numbers(layers, count):
    """The set of these layers' numbers, negative ones counted from the end; all of them for None."""
    if layers is None:
        return set(range(count))
    try:
        layers = list(layers)
        if any(isinstance(layer, bool | np.bool_) for layer in layers):
            raise TypeError
        numbers = [operator.index(layer) for layer in layers]
    except TypeError:
        raise TypeError(f"layers must be the numbers of layers, such as [0]; got {layers!r}") from None
    if not numbers or not all(-count <= number < count for number in numbers):
        raise ValueError(f"layers must be from {-count} to {count - 1}, at least one of them; got {layers!r}")
    return {number % count for number in numbers}


def _dtype_of(config, given, asked):
    """The dtype of what is not quantised; checks that layers are quantised whole."""
    quantised = [name for name, value in given.items() if isinstance(value, Quantized)]
    if not quantised:
        return common_dtype(given.values(), asked)
    if asked is not None and check_dtype(asked) != np.float32:
        raise ValueError(f"beside quantised weights the other parameters are float32; got dtype {np.dtype(asked)}")
    types: dict[int, set[str]] = {}
    for layer, name in config.matrices():
        types.setdefault(layer, set()).add(getattr(given[name], "weight_dtype", "float32"))
    for layer, found in types.items():
        if len(found) > 1:
            raise ValueError(f"the matrices of layer {layer} are {' and '.join(sorted(found))}, expected one type")
    odd = [name for name in quantised if not name.startswith("weight")]
    if odd:
        raise ValueError(f"{', '.join(odd)} cannot be quantised: only matrices of weights can")
    return np.dtype(np.float32)


_MOST_PROBLEMS = 12     # named in one error message


def _check_shapes(config, arrays):
    missing = (f"missing {name} {shape}" for name, shape in config.parameters() if name not in arrays)
    problems = list(islice(missing, _MOST_PROBLEMS))
    if len(problems) < _MOST_PROBLEMS:      # else a stray layer number may ask for millions of parameters
        shapes = config.shapes()
        problems += [f"unknown {name}" for name in arrays if name not in shapes]
        problems += [
            f"{name} has shape {arrays[name].shape}, expected {shape}"
            for name, shape in shapes.items()
            if name in arrays and arrays[name].shape != shape
        ]
    if len(problems) >= _MOST_PROBLEMS:
        problems[_MOST_PROBLEMS:] = ["and more"]
    if problems:
        sizes = f"input_size={config.input_size}, hidden_size={config.hidden_size}, num_layers={config.num_layers}, "
        if not config.recurrent:
            sizes = f"in_features={config.input_size}, out_features={config.hidden_size}, "
        both = f", bidirectional={config.bidirectional}" if config.recurrent else ""
        words = f"{config.cell.name} with {sizes}bias={config.bias}{both}"
        raise ValueError(f"these parameters do not fit {words}: {'; '.join(problems)}")


_NAME = re.compile(r"(weight|bias)_(ih|hh)_l(\d+)(_reverse)?")


def weights_from_state_dict(mapping, *, prefix="", dtype=None, kind="gru", **options):
    """Weights from a mapping with PyTorch's names; sizes, layers, directions and bias are inferred from it.

    Parameters
    ----------
    mapping : mapping of str to array
        Anything that `numpy.asarray` takes. With a `prefix`, names that do not start with it are ignored.
    dtype : dtype, optional
        As of `Weights`.
    kind : str
        A key of `cgru.cells.CELLS`.
    **options
        Further fields of `Config`.

    Raises
    ------
    TypeError, ValueError
        See `Weights`.
    """
    found = _with_prefix(mapping, prefix, ("weight_ih_l0", "weight_hh_l0"))
    names = [match for name in found if (match := _NAME.fullmatch(name))]
    config = Config(
        input_size=found["weight_ih_l0"].shape[1],
        hidden_size=found["weight_hh_l0"].shape[1],
        num_layers=1 + max(int(match[3]) for match in names),
        bias=any(match[1] == "bias" for match in names),
        bidirectional=any(match[4] for match in names),
        initial_state=any(f"{plane}_0" in found for plane in CELLS[kind].states),
        kind=kind,
        **options,
    )
    return Weights(config, found, dtype)


def _with_prefix(mapping, prefix, matrices):
    """The parameters whose names start with `prefix`, without it; among them these matrices, as arrays."""
    if not isinstance(mapping, Mapping):
        raise TypeError(f"expected a mapping from parameter names to arrays; got {type(mapping).__name__}")
    found = {str(name)[len(prefix):]: value for name, value in mapping.items() if str(name).startswith(prefix)}
    for name in matrices:
        if name not in found:
            held = ", ".join(str(name) for name in mapping) or "nothing"
            raise ValueError(f"no {prefix + name} in the state dict, which holds {held}; is prefix={prefix!r} right?")
        found[name] = real_array(prefix + name, found[name])
        if found[name].ndim != 2:
            raise ValueError(f"{prefix + name} has shape {found[name].shape}, expected two dimensions")
    return found


def linear_from_state_dict(mapping, *, prefix="", activation=None, dtype=None):
    """Weights of a Linear, y = activation(weight x + bias), from a mapping with PyTorch's names.

    Parameters
    ----------
    mapping : mapping of str to array
        "weight" (O, I), and maybe "bias" (O,); with a `prefix` other names are ignored.
    activation : activation, optional
        A name, or (name, alpha, beta), see `cgru.activations`; "softmax" goes over the O outputs.
    dtype : dtype, optional
        As of `Weights`.

    Raises
    ------
    TypeError, ValueError
        See `Weights`.
    """
    found = _with_prefix(mapping, prefix, ("weight",))
    out_features, in_features = found["weight"].shape
    config = Config(
        input_size=in_features, hidden_size=out_features, bias="bias" in found, activations=activation, kind=LINEAR.kind
    )
    return Weights(config, found, dtype)


def linear_weights(weight, bias=None, activation=None, *, dtype=None):
    """The same from a matrix (O, I), and maybe a bias (O,)."""
    tensors = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    return linear_from_state_dict(tensors, activation=activation, dtype=dtype)
