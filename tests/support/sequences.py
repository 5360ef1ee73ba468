"""Columns of sequences, and what a model makes of each row when it is called with that row alone."""

import numpy as np

import cgru
from support.models import planes


def arrow():
    """The package pyarrow."""
    import pyarrow

    return pyarrow


def types():
    """Layout -> the type of a column of `width` float32 numbers a step."""
    pa = arrow()
    step = pa.list_(pa.float32())
    found = {
        "lists": lambda width: pa.list_(step),
        "large lists": lambda width: pa.large_list(pa.large_list(pa.float32())),
        "lists of fixed": lambda width: pa.list_(pa.list_(pa.float32(), width)),
        "large of fixed": lambda width: pa.large_list(pa.list_(pa.float32(), width)),
        "flat": lambda width: step,
        "large flat": lambda width: pa.large_list(pa.float32()),
    }
    if hasattr(pa, "list_view"):
        found |= {
            "views": lambda width: pa.list_view(pa.list_view(pa.float32())),
            "large views of lists": lambda width: pa.large_list_view(step),
            "lists of large views": lambda width: pa.list_(pa.large_list_view(pa.float32())),
            "flat views": lambda width: pa.list_view(pa.float32()),
        }
    return found


LAYOUTS = (
    "lists", "large lists", "lists of fixed", "large of fixed", "flat", "large flat", "views", "large views of lists",
    "lists of large views", "flat views",
)  # fmt: skip


def column_of(rows, layout="lists", width=None):
    """A column of rows, each None or an array (T, I) or a list of steps."""
    if "flat" in layout:
        rows = [None if row is None else [number for step in row for number in step] for row in rows]
    else:
        rows = [None if row is None else [None if step is None else list(step) for step in row] for row in rows]
    return arrow().array(rows, types()[layout](width))


def draw_rows(rng, count, features, longest=13, dtype=np.float32):
    """Rows of any lengths, 0 among them."""
    lengths = rng.integers(0, longest + 1, count)
    lengths[count // 2] = 0
    return [rng.normal(size=(length, features)).astype(dtype) for length in lengths]


def alone(model, row, output):
    """What `output` is of one row: y of its last step, of all of them, or the planes of the final state, flat."""
    y, final = model(row)
    if output == "all":
        return [y]
    if output == "last":
        if getattr(model, "last", False):
            return [y]
        return [y[-1] if len(y) else np.zeros(y.shape[1:], y.dtype)]
    states = final if isinstance(model, cgru.Sequential) else (final,)
    return [plane.ravel() for state in states for plane in planes(state)]


def numbers_of(column, dtype):
    """What a column of results holds, an array for each row."""
    return [np.array(value, dtype) for value in column.to_pylist()]
