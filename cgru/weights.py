"""Canonical weights: PyTorch's names and layout in plain NumPy arrays, with the configuration they belong to.

Gate order r, z, n for a GRU, where z keeps the old h, and i, f, g, o for an LSTM; input and recurrent bias apart.
Converters produce `Weights`, models are built from them, files store them. Parameters and their dtype are checked
here and nowhere else. No framework is imported.
"""

import dataclasses
import re
from collections.abc import Mapping
from itertools import islice

import numpy as np

from cgru.cells import CELLS
from cgru.checks import check_dtype, common_dtype, real_array, warn
from cgru.config import Config


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """A configuration and its parameters.

    Attributes
    ----------
    config : Config
    tensors : dict of str to ndarray
        Exactly the names and shapes of ``config.shapes()``; C-contiguous, read-only, all of one dtype. Given may be
        anything that `real_array` reads; it is copied.
    dtype : numpy.dtype
        float32 or float64. By default float64 where every parameter is float64, else float32.

    Raises
    ------
    ValueError
        A parameter is missing, unknown or of the wrong shape (all of them are named).
    TypeError
        A parameter is not numeric, or the dtype is neither float32 nor float64.

    Warns
    -----
    RuntimeWarning
        A parameter holds NaN or infinity.
    """

    config: Config
    tensors: dict[str, np.ndarray]
    dtype: np.dtype = None  # type: ignore[assignment]   # None in, a dtype out

    def __post_init__(self):
        arrays = {name: real_array(name, value) for name, value in self.tensors.items()}
        _check_shapes(self.config, arrays)
        dtype = common_dtype(arrays.values(), self.dtype)
        with np.errstate(over="ignore"):      # an infinity is warned of below
            tensors = {name: _frozen(arrays[name], dtype) for name in self.config.shapes()}
        odd = [name for name, array in tensors.items() if not np.isfinite(array).all()]
        if odd:
            warn(f"NaN or infinity in {', '.join(odd)}", RuntimeWarning)
        object.__setattr__(self, "tensors", tensors)
        object.__setattr__(self, "dtype", dtype)

    @classmethod
    def unchecked(cls, config, tensors):
        """Weights over C-contiguous arrays of one dtype as they are: not checked, not copied, and not frozen.

        Whoever calls this keeps them as they are for as long as a model uses them.
        """
        weights = cls.__new__(cls)
        for name, value in (("config", config), ("tensors", tensors), ("dtype", tensors["weight_ih_l0"].dtype)):
            object.__setattr__(weights, name, value)
        return weights

    def astype(self, dtype):
        """The same weights in `dtype`."""
        dtype = check_dtype(dtype)
        return self if dtype == self.dtype else Weights(self.config, self.tensors, dtype)

    def replace(self, **changes):
        """The same arrays under another configuration, which must want the same shapes."""
        config = dataclasses.replace(self.config, **changes)
        if config.shapes() != self.config.shapes():
            raise ValueError(f"{', '.join(changes)} cannot be replaced: other parameters would be needed")
        return Weights.unchecked(config, self.tensors)

    def direction(self, suffix):
        """(w_ih, w_hh, b_ih, b_hh) of one direction; zeros where the configuration has no bias."""
        w_ih, w_hh = self.tensors[f"weight_ih_{suffix}"], self.tensors[f"weight_hh_{suffix}"]
        if self.config.bias:
            return w_ih, w_hh, self.tensors[f"bias_ih_{suffix}"], self.tensors[f"bias_hh_{suffix}"]
        zeros = np.zeros(w_ih.shape[0], w_ih.dtype)
        return w_ih, w_hh, zeros, zeros

    def __eq__(self, other):
        if not isinstance(other, Weights):
            return NotImplemented
        return (self.config, self.dtype) == (other.config, other.dtype) and all(
            np.array_equal(array, other.tensors[name], equal_nan=True) for name, array in self.tensors.items()
        )

    def __hash__(self):
        return hash((self.config, self.dtype))


def _frozen(array, dtype):
    """A copy that nobody can write to: C-contiguous, aligned, of native byte order.

    A read-only array is copied too: whoever owns it can make it writable again.
    """
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
            f"these parameters do not fit {config.cell.name} with input_size={config.input_size}, "
            f"hidden_size={config.hidden_size}, num_layers={config.num_layers}, bias={config.bias}, "
            f"bidirectional={config.bidirectional}: {'; '.join(problems)}"
        )


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
    if not isinstance(mapping, Mapping):
        raise TypeError(f"expected a mapping from parameter names to arrays; got {type(mapping).__name__}")
    found = {str(name)[len(prefix):]: value for name, value in mapping.items() if str(name).startswith(prefix)}
    columns = {}
    for name in ("weight_ih_l0", "weight_hh_l0"):
        if name not in found:
            held = ", ".join(str(name) for name in mapping) or "nothing"
            raise ValueError(f"no {prefix + name} in the state dict, which holds {held}; is prefix={prefix!r} right?")
        found[name] = real_array(prefix + name, found[name])
        if found[name].ndim != 2:
            raise ValueError(f"{prefix + name} has shape {found[name].shape}, expected two dimensions")
        columns[name] = found[name].shape[1]
    names = [match for name in found if (match := _NAME.fullmatch(name))]
    config = Config(
        input_size=columns["weight_ih_l0"],
        hidden_size=columns["weight_hh_l0"],
        num_layers=1 + max(int(match[3]) for match in names),
        bias=any(match[1] == "bias" for match in names),
        bidirectional=any(match[4] for match in names),
        initial_state=any(f"{plane}_0" in found for plane in CELLS[kind].states),
        kind=kind,
        **options,
    )
    return Weights(config, found, dtype)
