"""Canonical weights: PyTorch's names and layout in plain NumPy arrays, with the configuration they belong to.

Gate order r, z, n for a GRU, where z keeps the old h, and i, f, g, o for an LSTM; input and recurrent bias apart.
Converters produce `Weights`, models are built from them, files store them. No framework is imported here.
"""

import dataclasses
import os
import re
import sys
import warnings
from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np

from cgru.activations import gate_activations

GATES = {"gru": 3, "rnn": 1, "lstm": 4}
TAPE_WIDTHS = {"gru": 4, "rnn": 0, "lstm": 5}       # arrays of (T, N, H) that a backward pass needs beside x and y
MERGE_MODES = ("concat", "sum", "mul", "ave")
BLAS_LIMIT = 2**31 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that is not a number in an array.

    Attributes
    ----------
    input_size, hidden_size, num_layers : int
    bias, batch_first, bidirectional : bool
    reset_after : bool
        Where the reset gate acts: after the recurrent product (PyTorch) or before it (the equations of 2014).
    activations : tuple of (Activation, Activation)
        For each direction f of the gates r and z, and g of the candidate n; see `cgru.activations`. An RNN's
        nonlinearity is g.
    clip : float or None
        Pre-activations are clamped to +-clip (ONNX's `clip`).
    reverse : bool
        The only direction runs from the end to the start; its output is put back in order.
    go_backwards : bool
        The same, with the output left in reversed order (Keras).
    merge_mode : {"concat", "sum", "mul", "ave"}
        How the two directions' outputs become one (Keras's `Bidirectional`); one layer only, unless "concat".
    initial_state : bool
        Whether the parameters hold an ``h_0`` (num_layers * D, H), the state of every row where none is given.
    cell : {"gru", "rnn", "lstm"}
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    bidirectional: bool = False
    reset_after: bool = True
    activations: Any = None
    clip: float | None = None
    reverse: bool = False
    go_backwards: bool = False
    merge_mode: str = "concat"
    initial_state: bool = False
    cell: str = "gru"

    def __post_init__(self):
        for name in ("input_size", "hidden_size", "num_layers"):
            object.__setattr__(self, name, check_size(name, getattr(self, name)))
        for name in ("bias", "batch_first", "bidirectional", "reset_after", "reverse", "go_backwards", "initial_state"):
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_):
                raise TypeError(f"{name} must be True or False; got {value!r}")
            object.__setattr__(self, name, bool(value))
        if self.cell not in GATES:
            raise ValueError(f"cell must be one of {', '.join(GATES)}; got {self.cell!r}")
        object.__setattr__(self, "activations", gate_activations(self.activations, self.directions))
        if self.clip is not None:
            if isinstance(self.clip, bool) or not isinstance(self.clip, int | float | np.number) or not self.clip > 0:
                raise ValueError(f"clip must be a positive number or None; got {self.clip!r}")
            object.__setattr__(self, "clip", float(self.clip))
        if self.merge_mode not in MERGE_MODES:
            raise ValueError(f"merge_mode must be one of {', '.join(MERGE_MODES)}; got {self.merge_mode!r}")
        if self.merge_mode != "concat" and not (self.bidirectional and self.num_layers == 1):
            raise ValueError(
                f"merge_mode={self.merge_mode!r} is for one bidirectional layer; this model has "
                f"bidirectional={self.bidirectional}, num_layers={self.num_layers}"
            )
        if self.reverse + self.go_backwards + self.bidirectional > 1:
            raise ValueError("reverse, go_backwards and bidirectional exclude each other; set one of them")
        widest = max(self.input_size, self.directions * self.hidden_size, self.gates * self.hidden_size)
        if widest > BLAS_LIMIT:
            raise ValueError(
                f"input_size={self.input_size}, hidden_size={self.hidden_size} make a matrix {widest} wide, "
                f"over the limit of BLAS's 32-bit integers ({BLAS_LIMIT}); use smaller sizes"
            )

    @property
    def directions(self):
        """1, or 2 when bidirectional."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self):
        """Features of y: the hidden units, times the directions that are side by side."""
        return self.hidden_size * (self.directions if self.merge_mode == "concat" else 1)

    @property
    def gates(self):
        """Gates per hidden unit: 3 for a GRU, 1 for an RNN, 4 for an LSTM."""
        return GATES[self.cell]

    @property
    def nonlinearity(self) -> str:
        """Name of an RNN's function g."""
        assert self.activations is not None
        return self.activations[0][1].name

    @property
    def tape_width(self):
        """Numbers per hidden unit and step that a tape keeps beside x and y."""
        return TAPE_WIDTHS[self.cell]

    def cells(self):
        """(layer, direction, name suffix) of every cell, in the order of h_n."""
        for layer in range(self.num_layers):
            for direction in range(self.directions):
                yield layer, direction, f"l{layer}{'_reverse' if direction else ''}"

    def parameters(self):
        """(name, shape) of every parameter, in PyTorch's order."""
        rows = self.gates * self.hidden_size
        for layer, _, suffix in self.cells():
            yield f"weight_ih_{suffix}", (rows, self.directions * self.hidden_size if layer else self.input_size)
            yield f"weight_hh_{suffix}", (rows, self.hidden_size)
            if self.bias:
                yield f"bias_ih_{suffix}", (rows,)
                yield f"bias_hh_{suffix}", (rows,)
        if self.initial_state:
            yield "h_0", (self.num_layers * self.directions, self.hidden_size)

    def shapes(self):
        """Parameter name -> shape, in PyTorch's order."""
        return dict(self.parameters())


@dataclasses.dataclass(frozen=True)
class Weights:
    """A configuration and its parameters.

    Attributes
    ----------
    config : Config
    tensors : dict of str to ndarray
        Exactly the names and shapes of ``config.shapes()``; C-contiguous, read-only, all float32 or all float64.
        Arrays that are not read-only already are copied.

    Raises
    ------
    ValueError
        A parameter is missing, unknown or of the wrong shape (all of them are named).
    TypeError
        A parameter is not numeric, or the dtype is neither float32 nor float64, or not the same everywhere.

    Warns
    -----
    RuntimeWarning
        A parameter holds NaN or infinity.
    """

    config: Config
    tensors: dict

    def __post_init__(self):
        arrays = {name: as_real_array(name, value) for name, value in self.tensors.items()}
        _check_shapes(self.config, arrays)
        dtype = check_dtype(arrays["weight_ih_l0"].dtype)
        for name, array in arrays.items():
            if array.dtype != dtype:
                raise TypeError(f"{name} has dtype {array.dtype}, others {dtype}; all must have the same")
        tensors = {name: _frozen(arrays[name], dtype) for name in self.config.shapes()}
        odd = [name for name, array in tensors.items() if not np.isfinite(array).all()]
        if odd:
            warnings.warn(f"NaN or infinity in {', '.join(odd)}", RuntimeWarning, stacklevel=_caller_level())
        object.__setattr__(self, "tensors", tensors)

    @classmethod
    def over(cls, config, tensors):
        """Weights over C-contiguous arrays of one dtype as they are: not checked, not copied, and not frozen.

        Whoever calls this keeps them as they are for as long as a model uses them.
        """
        weights = cls.__new__(cls)
        object.__setattr__(weights, "config", config)
        object.__setattr__(weights, "tensors", tensors)
        return weights

    @property
    def dtype(self):
        """float32 or float64."""
        return next(iter(self.tensors.values())).dtype

    def with_dtype(self, dtype):
        """The same weights in `dtype`."""
        dtype = check_dtype(dtype)
        if dtype == self.dtype:
            return self
        return Weights(self.config, {name: array.astype(dtype) for name, array in self.tensors.items()})

    def cell(self, suffix):
        """(w_ih, w_hh, b_ih, b_hh) of one cell; zeros where the configuration has no bias."""
        w_ih, w_hh = self.tensors[f"weight_ih_{suffix}"], self.tensors[f"weight_hh_{suffix}"]
        if self.config.bias:
            return w_ih, w_hh, self.tensors[f"bias_ih_{suffix}"], self.tensors[f"bias_hh_{suffix}"]
        zeros = np.zeros(w_ih.shape[0], w_ih.dtype)
        return w_ih, w_hh, zeros, zeros


def _caller_level():
    """The `stacklevel` with which a warning of the calling function shows the user's line, not one in here."""
    package = os.path.dirname(__file__) + os.sep
    frame, level = sys._getframe(1), 1
    # a dataclass's own __init__ says that it comes from "<string>"
    while frame.f_back is not None and frame.f_code.co_filename.startswith((package, "<string>")):
        frame, level = frame.f_back, level + 1
    return level


def check_size(name, value):
    """`value` as an int of at least 1; bool is not an integer here."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer; got {value!r} of type {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {value}")
    return int(value)


def check_dtype(dtype):
    """`dtype` as numpy.dtype, float32 or float64."""
    try:
        found = None if dtype is None else np.dtype(dtype)      # numpy.dtype(None) is float64
    except TypeError:
        found = None
    if found is None or found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype must be float32 or float64; got {dtype if found is None else str(found)!r}")
    return found


def as_real_array(name, value):
    """`value` as an array of real numbers; complex, object and string input is refused, not converted."""
    try:
        array = _as_array(value)
    except (TypeError, ValueError, RuntimeError) as error:      # a tensor on a GPU; a ragged list
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} cannot be read as an array: {error}") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}, expected real numbers; convert it first")
    return array


def _as_array(value):
    """`numpy.asarray` that also takes tensors which require grad, and bfloat16 in both its forms, as float32."""
    if hasattr(value, "detach"):
        value = value.detach()
    try:
        array = np.asarray(value)
    except TypeError:
        if not hasattr(value, "float"):
            raise
        array = np.asarray(value.float())
    if array.dtype.kind == "V" and np.can_cast(array.dtype, np.float32):     # ml_dtypes: JAX, safetensors
        array = array.astype(np.float32)
    return array


def _frozen(array, dtype):
    """A C-contiguous, aligned array of native byte order that nobody can write to."""
    if array.flags.writeable or array.base is not None or array.dtype != dtype or not array.flags.c_contiguous:
        array = np.array(array, dtype, order="C")
    array.flags.writeable = False
    return array


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
        raise ValueError(
            f"these parameters do not make a {config.cell.upper()} with input_size={config.input_size}, "
            f"hidden_size={config.hidden_size}, num_layers={config.num_layers}, bias={config.bias}, "
            f"bidirectional={config.bidirectional}: {'; '.join(problems)}"
        )


_NAME = re.compile(r"(weight|bias)_(ih|hh)_l(\d+)(_reverse)?")


def weights_from_state_dict(mapping, *, prefix="", dtype=None, cell="gru", **options):
    """Weights from a mapping with PyTorch's names; sizes, layers, directions and bias are inferred from it.

    Parameters
    ----------
    mapping : mapping of str to array
        Anything that `numpy.asarray` takes. With a `prefix`, names that do not start with it are ignored.
    dtype : dtype, optional
        float32 or float64; by default float64 where every parameter is float64, else float32.
    **options
        Further fields of `Config`.

    Raises
    ------
    TypeError, ValueError
        See `Weights`.
    """
    if not isinstance(mapping, Mapping):
        raise TypeError(f"expected a mapping from parameter names to arrays; got {type(mapping).__name__}")
    found = {str(name)[len(prefix):]: value for name, value in mapping.items() if str(name).startswith(prefix)}
    names = [match for name in found if (match := _NAME.fullmatch(name))]
    for name in ("weight_ih_l0", "weight_hh_l0"):
        if name not in found:
            held = ", ".join(str(name) for name in mapping) or "nothing"
            raise ValueError(f"no {prefix + name} in the state dict, which holds {held}; is prefix={prefix!r} right?")
    arrays = {name: as_real_array(prefix + name, value) for name, value in found.items()}
    if dtype is None:
        single = any(array.dtype != np.float64 for array in arrays.values())
        dtype = np.float32 if single else np.float64
    dtype = check_dtype(dtype)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        if arrays[name].ndim != 2:
            raise ValueError(f"{prefix + name} has shape {arrays[name].shape}, expected two dimensions")
    config = Config(
        input_size=arrays["weight_ih_l0"].shape[1],
        hidden_size=arrays["weight_hh_l0"].shape[1],
        num_layers=1 + max(int(match[3]) for match in names),
        bias=any(match[1] == "bias" for match in names),
        bidirectional=any(match[4] for match in names),
        initial_state="h_0" in found,
        cell=cell,
        **options,
    )
    _check_shapes(config, arrays)
    return Weights(config, {name: array.astype(dtype) for name, array in arrays.items()})
