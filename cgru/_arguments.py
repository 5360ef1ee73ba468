"""Checks of what a caller passes in; every error says the argument, what was expected, what came."""

import numpy as np

from cgru.weights import as_real_array


def input_array(name, x, dtype, features, label):
    """`x` in the model's dtype, features contiguous and `features` of them; no copy where none is needed."""
    if type(x) is not np.ndarray or x.dtype != dtype:
        x = as_real_array(name, x).astype(dtype, copy=False)
    if x.ndim == 0 or x.shape[-1] != features:
        raise ValueError(
            f"{name} has {x.shape[-1] if x.ndim else 'no'} features (shape {x.shape}), "
            f"this model expects {label}={features} in the last dimension"
        )
    if not x.flags.aligned or (x.strides[-1] != x.itemsize and features > 1):
        x = np.ascontiguousarray(x) if x.flags.aligned else x.copy(order="C")
    return x


def state_array(name, value, dtype, shape):
    """A state of exactly `shape` and `dtype`, C-contiguous; lists are converted, arrays of another dtype refused."""
    if type(value) is np.ndarray and value.dtype == dtype and value.shape == shape and value.flags.carray:
        return value
    array = as_real_array(name, value)
    if not hasattr(value, "dtype"):
        array = array.astype(dtype)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    if array.dtype.newbyteorder("=") != dtype:
        raise TypeError(
            f"{name} has dtype {array.dtype}, this model computes in {dtype}; pass {name}.astype('{dtype}')"
        )
    if array.dtype != dtype or not array.flags.aligned:
        return array.astype(dtype, order="C")
    return np.ascontiguousarray(array)


def output_array(out, dtype, shape, inputs):
    """Refuse an `out` that cannot be filled in place; `inputs` are (name, array) pairs it must not overlap."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array; got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, expected {shape}")
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {out.dtype}, expected {dtype}")
    if not out.flags.c_contiguous or not out.flags.aligned:
        raise ValueError("out must be C-contiguous and aligned; pass numpy.empty(shape, dtype)")
    if not out.flags.writeable:
        raise ValueError("out is read-only; pass an array that can be written to")
    for name, array in inputs:
        if isinstance(array, np.ndarray) and overlaps(out, array):
            raise ValueError(f"out overlaps {name}, which would change it while it is read; pass another array")
    return out


def overlaps(a, b):
    """Whether two arrays share memory; a case too hard to decide quickly counts as yes."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=10_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def lengths_array(lengths, steps, rows):
    """`lengths` as an intp array of `rows` numbers from 0 to `steps`: a copy, for engines trust it."""
    try:
        array = np.asarray(lengths).copy()
    except (TypeError, ValueError) as error:
        raise ValueError(f"lengths cannot be read as an array of integers: {error}") from error
    if array.size == 0 and array.dtype == np.float64 and not hasattr(lengths, "dtype"):
        array = array.astype(np.intp)      # an empty list says nothing about its type
    if array.dtype.kind not in "iu":
        raise TypeError(f"lengths must be integers from 0 to {steps}; got dtype {array.dtype}")
    if array.shape != (rows,):
        raise ValueError(f"lengths has shape {array.shape}, expected ({rows},), one length per batch row")
    if array.size and (array.min() < 0 or array.max() > steps):
        row = int(np.argmax((array < 0) | (array > steps)))
        raise ValueError(f"lengths[{row}] is {array[row]}, expected 0 to {steps}, the steps in x")
    return np.ascontiguousarray(array, dtype=np.intp)
