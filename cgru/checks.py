"""Checks of what a caller passes in; every error says the argument, what was expected, what came."""

import os
import sys
import warnings

import numpy as np

BLAS_LIMIT = 2**31 - 1      # of the integers that BLAS takes


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


def common_dtype(arrays, dtype=None):
    """The dtype of a model with these parameters: `dtype`, or else float64 where all are float64, else float32."""
    if dtype is None:
        dtype = np.float64 if all(array.dtype == np.float64 for array in arrays) else np.float32
    return check_dtype(dtype)


def frozen(array, dtype):
    """A copy that nobody can write to: C-contiguous, aligned, of native byte order.

    A read-only array is copied too: whoever owns it can make it writable again.
    """
    array = np.array(array, dtype, order="C")
    array.flags.writeable = False
    return array


def real_array(name, value, shape=None):
    """`value` as an array of real numbers; complex, object and string input is refused, not converted.

    Tensors that require grad or lie elsewhere are taken, and bfloat16, which NumPy lacks, becomes float32.

    Parameters
    ----------
    name : str
        What the error messages call it.
    value : array_like
    shape : tuple, optional
        The shape that it must have, where None leaves a size open.
    """
    try:
        array = _as_array(value)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} cannot be read as an array: {uneven(name, value) or error}") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}, expected real numbers; convert it first")
    if shape is not None and not _fits(array.shape, shape):
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} has shape {array.shape}, expected ({expected})")
    return array


def _as_array(value):
    if hasattr(value, "detach"):        # PyTorch's
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except TypeError:
        if not hasattr(value, "float"):
            raise
        array = np.asarray(value.float())       # PyTorch's bfloat16
    if array.dtype.kind == "V" and np.can_cast(array.dtype, np.float32):     # ml_dtypes: JAX, safetensors
        array = array.astype(np.float32)
    return array


def uneven(name, value):
    """Two parts of a ragged list that cannot stand in one array, in words; None where it is not ragged."""
    try:
        found = _uneven(name, value)
    except (TypeError, ValueError, RuntimeError):       # it is too deep, or has parts without a shape
        return None
    if found and name == "x":
        found += "; pad sequences to one length and give lengths=, or give a call a list of arrays (T, I)"
    return found


def _uneven(name, value):
    if not isinstance(value, tuple | list):
        return None
    for number, part in enumerate(value):
        found = _uneven(f"{name}[{number}]", part)
        if found:
            return found
    shapes = [tuple(np.shape(part)) for part in value]
    for number, shape in enumerate(shapes):
        if shape != shapes[0]:
            return f"{name}[0] has shape {shapes[0]}, and {name}[{number}] has shape {shape}"
    return None


def _fits(found, shape):
    return len(found) == len(shape) and all(size in (None, got) for size, got in zip(shape, found, strict=True))


def warn(message, category):
    """A warning that shows the caller's line of code, not one in here.

    From Python 3.12 on ``warnings.warn(skip_file_prefixes=...)`` does the same, and this goes.
    """
    package = os.path.dirname(__file__) + os.sep
    frame, level = sys._getframe(1), 2
    # a dataclass's own __init__ says that it comes from "<string>"
    while frame.f_back is not None and frame.f_code.co_filename.startswith((package, "<string>")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def are_sequences(x):
    """Whether x is many sequences and not one array: a PackedSequence, or a list or tuple of 2-D arrays (T_i, I).

    What an array is, is seen by its attribute `ndim`, in the first element: lists of numbers are no arrays.
    """
    return is_packed(x) or (isinstance(x, tuple | list) and len(x) > 0 and getattr(x[0], "ndim", None) == 2)


def is_packed(x):
    """Whether x is like PyTorch's PackedSequence, which is a tuple too."""
    return hasattr(x, "batch_sizes") and hasattr(x, "sorted_indices")


def input_array(name, x, dtype, features, label):
    """`x` in the model's dtype, features contiguous and `features` of them; no copy where none is needed."""
    if type(x) is not np.ndarray or x.dtype != dtype:
        x = real_array(name, x).astype(dtype, copy=False)
    if x.ndim == 0 or x.shape[-1] != features:
        raise ValueError(
            f"{name} has {x.shape[-1] if x.ndim else 'no'} features (shape {x.shape}), "
            f"this model expects {label}={features} in the last dimension"
        )
    if not x.flags.aligned or (x.strides[-1] != x.itemsize and features > 1):
        x = np.ascontiguousarray(x) if x.flags.aligned else x.copy(order="C")
    return x


def state_array(name, value, dtype, shape):
    """`value` as an array of exactly `shape`, in the model's dtype, C-contiguous; no copy where none is needed."""
    if type(value) is np.ndarray and value.dtype == dtype and value.shape == shape and value.flags.carray:
        return value
    array = real_array(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    return np.require(array, dtype, ["C", "A"])


def output_array(out, dtype, shape):
    """Refuse an `out` that cannot be filled in place."""
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


def refuse_overlap(out, name, array):
    """Refuse an `out` that shares memory with what is read while it is written; too hard to decide counts as sharing.

    `array` is the caller's argument `name` after conversion, a view of the caller's memory where nothing was copied,
    whatever kind of object that memory came in.
    """
    if not np.may_share_memory(out, array):
        return
    try:
        shared = np.shares_memory(out, array, max_work=10_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        shared = True
    if shared:
        raise ValueError(f"out overlaps {name}, which would change it while it is read; pass another array")


def lengths_array(lengths, steps, rows):
    """`lengths` as an intp array of `rows` numbers from 0 to `steps`: a copy, for engines trust it."""
    try:
        array = np.asarray(lengths).copy()
    except (TypeError, ValueError) as error:
        reason = uneven("lengths", lengths) or error
        raise ValueError(f"lengths cannot be read as an array of integers: {reason}") from error
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


def row_numbers(rows, count):
    """Of `rows` as NumPy indexes, an index, indices, a slice or a mask, the numbers 0 to count - 1: () or (n,) intp."""
    if isinstance(rows, tuple):
        rows = list(rows)
    try:
        numbers = np.asarray(np.arange(count)[rows], np.intp)
    except IndexError as error:
        raise ValueError(f"rows must be indices of {count} rows, 0 to {count - 1}; got {rows!r}: {error}") from error
    if numbers.ndim > 1:
        raise ValueError(f"rows must be an index, a sequence of them, a slice or a mask ({count},); got {rows!r}")
    if np.unique(numbers).size < numbers.size:
        raise ValueError(f"rows must each be named once; got {rows!r}")
    return numbers
