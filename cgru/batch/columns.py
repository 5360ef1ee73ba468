"""Sequences in Arrow columns: where a row's numbers stand, and which rows are none, without a loop over the rows."""

from typing import Any, NamedTuple

import numpy as np


def arrow() -> Any:
    """The package pyarrow, imported when first needed.

    Raises
    ------
    ImportError
        It is not installed.
    """
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise ImportError('sequences in Arrow columns need pyarrow: pip install "cgru[parquet]"') from error
    return pyarrow


class Sequences(NamedTuple):
    """What stands in a column of sequences.

    Attributes
    ----------
    numbers : ndarray
        (K,) of the column's own dtype; a view of Arrow's memory where that is one piece.
    starts : ndarray
        (N,) intp: where in `numbers` each row begins. Its steps stand there one after the other.
    lengths : ndarray
        (N,) intp: each row's steps; 0 of a bad row.
    bad : dict of int to str
        Rows that are no sequences of the model, rising, and what is wrong with each.
    """

    numbers: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    bad: dict[int, str]


# ---- types


def check_type(name, column_type, features):
    """Refuse a column that cannot hold sequences of `features` numbers a step.

    Raises
    ------
    TypeError
        It holds no lists of numbers, nor lists of lists of them.
    ValueError
        Its type fixes another width.
    """
    types = arrow().types
    inner: Any = column_type.value_type if _is_list(column_type) else None
    nested = inner is not None and _is_list(inner)
    number = inner.value_type if nested else inner
    if number is None or not (types.is_integer(number) or types.is_floating(number) or types.is_boolean(number)):
        raise TypeError(
            f"column {name} is {column_type}, expected a list of steps of {features} numbers each, or a flat list of "
            f"the numbers of all steps{_advice(types, column_type)}"
        )
    if nested and types.is_fixed_size_list(inner) and inner.list_size != features:
        raise ValueError(
            f"column {name} has steps of {inner.list_size} numbers ({column_type}), this model expects "
            f"input_size={features}"
        )
    if not nested and types.is_fixed_size_list(column_type) and column_type.list_size % features:
        raise ValueError(
            f"column {name} has {column_type.list_size} numbers a row ({column_type}), expected a multiple of "
            f"input_size={features}"
        )


def _advice(types, column_type):
    if isinstance(column_type, arrow().BaseExtensionType):
        return f"; cast it to its storage type {column_type.storage_type} first"
    if types.is_dictionary(column_type):
        return f"; cast it to {column_type.value_type} first"
    return ""


def _is_view(column_type):
    types = arrow().types       # pyarrow 15 has no views
    return hasattr(types, "is_list_view") and (types.is_list_view(column_type) or types.is_large_list_view(column_type))


def _is_list(column_type):
    types = arrow().types
    return (
        types.is_list(column_type) or types.is_large_list(column_type) or types.is_fixed_size_list(column_type)
        or _is_view(column_type)
    )  # fmt: skip


# ---- arrays


def sequences(column, features):
    """The `Sequences` of an Array or ChunkedArray that `check_type` took, with `features` numbers a step."""
    if not isinstance(column, arrow().ChunkedArray):
        return _of_array(column, features)
    found = [_of_array(chunk, features) for chunk in column.chunks]
    if not found:
        return _of_array(arrow().array([], column.type), features)
    if len(found) == 1:
        return found[0]
    shifts = np.cumsum([0, *(len(one.numbers) for one in found)])
    rows = np.cumsum([0, *(len(one.starts) for one in found)])
    return Sequences(
        np.concatenate([one.numbers for one in found]),
        np.concatenate([one.starts + shift for one, shift in zip(found, shifts, strict=False)]),
        np.concatenate([one.lengths for one in found]),
        {int(row + first): text for one, first in zip(found, rows, strict=False) for row, text in one.bad.items()},
    )


def numbers_in(array):
    """How many numbers stand in the rows of an Array that `check_type` took, nulls among them."""
    while _is_list(array.type):
        array = array.flatten()
    return len(array)


def _of_array(array, features):
    starts, sizes, child = _ranges(array)
    valid, widths = _valid(array), None
    if _is_list(child.type):
        steps, widths, child = _ranges(child, in_order=True)
        firsts, lengths = starts, sizes
        starts = steps[np.minimum(starts, len(steps) - 1)] if len(steps) else np.zeros_like(starts)
        bad = _any_in(widths != features, firsts, lengths)
    else:
        firsts, lengths = starts // features, sizes // features
        bad = sizes % features != 0
    bad |= ~valid
    holes = None
    if child.null_count:
        holes = ~_valid(child)
        bad |= _any_in(holes, np.where(bad, 0, starts), np.where(bad, 0, lengths * features))
    reasons = {}
    for row in np.flatnonzero(bad).tolist():
        inside = None if widths is None else widths[firsts[row] : firsts[row] + lengths[row]]
        missing = None if holes is None else holes[starts[row] : starts[row] + lengths[row] * features]
        reasons[row] = "it is null" if not valid[row] else _reason(int(sizes[row]), inside, missing, features)
    return Sequences(_numpy(child), starts, np.where(bad, 0, lengths), reasons)


def _reason(size, widths, missing, features):
    """What is wrong with a row that is not null: widths of its steps (null: -1), or None where it is flat; holes."""
    if widths is None and size % features:
        return f"it has {size} numbers, expected a multiple of input_size={features}"
    if widths is not None and np.any(widths != features):
        step = int(np.argmax(widths != features))
        if widths[step] < 0:
            return f"step {step} is null"
        return f"step {step} has {widths[step]} numbers, expected input_size={features}"
    step, number = divmod(int(np.argmax(missing)), features)
    return f"number {number} of step {step} is null"


def _ranges(array, in_order=False):
    """For each list of an array its first element and how many it has (a null list: 0), and all elements.

    With `in_order` the elements of one list after the other stand side by side, and a null list has -1.
    """
    types, valid = arrow().types, _valid(array)
    if types.is_fixed_size_list(array.type):
        size = array.type.list_size
        starts, sizes = (np.arange(len(array)) + array.offset) * size, np.full(len(array), size)
        values = array.values
    elif _is_view(array.type):
        starts, sizes = _integers(array.offsets), _integers(array.sizes)
        values = array.values
        if in_order:        # what is null or nobody's is left out
            sizes = np.where(valid, sizes, 0)
            starts, values = np.cumsum(sizes) - sizes, array.flatten()
    else:
        offsets, values = _integers(array.offsets), array.values
        starts, sizes = offsets[:-1], np.diff(offsets)
    used = valid & (sizes > 0)
    low = int(starts[used].min()) if used.any() else 0
    high = int((starts + sizes)[used].max()) if used.any() else 0
    starts = np.where(used, starts - low, 0)
    return starts, np.where(valid, sizes, -1 if in_order else 0), values.slice(low, high - low)


def _any_in(marks, starts, sizes):
    """Whether there is a mark in each range."""
    if not marks.any():
        return np.zeros(len(starts), bool)
    before = np.concatenate([[0], np.cumsum(marks)])
    return before[starts + sizes] > before[starts]


def _valid(array):
    """(N,) bool."""
    if array.null_count == 0:
        return np.ones(len(array), bool)
    return array.is_valid().to_numpy(zero_copy_only=False)


def _integers(array):
    return array.to_numpy(zero_copy_only=False).astype(np.intp)


def _numpy(array):
    """The numbers of a primitive array, as a view; anything where one is null."""
    pa = arrow()
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    dtype, memory = np.dtype(array.type.to_pandas_dtype()), array.buffers()[1]
    if memory is None or len(array) == 0:
        return np.zeros(len(array), dtype)
    return np.frombuffer(memory, dtype, len(array), array.offset * dtype.itemsize)
