"""What a model gives for some rows at a time, put together as Arrow arrays in the order of the rows."""

import numpy as np

from cgru.batch.columns import arrow


class Last:
    """The last step of each row's y; zeros where a row has none."""

    def __init__(self, lengths, output_size, dtype):
        self._y = np.zeros((len(lengths), output_size), dtype)

    def put(self, rows, lengths, y, final):
        """What the model made of these rows: y (T, N, O), or (N, O) where it gives the last step, and final planes."""
        if y.ndim == 2:
            self._y[rows] = y
        elif len(y):
            some = np.flatnonzero(lengths)
            self._y[rows[some]] = y[lengths[some] - 1, some]

    def arrays(self, types):
        """The arrays, of these types."""
        return [_lists(self._y, types[0])]


class All:
    """Every step of each row's y."""

    def __init__(self, lengths, output_size, dtype):
        self._offsets = np.concatenate([[0], np.cumsum(lengths)])
        self._y = np.zeros((self._offsets[-1], output_size), dtype)

    def put(self, rows, lengths, y, final):
        """As `Last.put`."""
        for number, (start, length) in enumerate(zip(self._offsets[rows].tolist(), lengths.tolist(), strict=True)):
            self._y[start : start + length] = y[:length, number]

    def arrays(self, types):
        """As `Last.arrays`."""
        pa = arrow()
        steps = _lists(self._y, types[0].value_type)
        offsets = pa.array(self._offsets, pa.int32())
        return [pa.ListArray.from_arrays(offsets, steps)]


class Final:
    """The planes of each row's final state."""

    def __init__(self, lengths, sizes, dtype):
        self._planes = [np.zeros((len(lengths), size), dtype) for size in sizes]

    def put(self, rows, lengths, y, final):
        """As `Last.put`."""
        for whole, plane in zip(self._planes, _flat(final), strict=True):
            whole[rows] = plane.swapaxes(0, 1).reshape(len(rows), -1)

    def arrays(self, types):
        """As `Last.arrays`."""
        return [_lists(plane, one) for plane, one in zip(self._planes, types, strict=True)]


def _flat(final):
    """The planes of a state, an array or tuples of them."""
    return [plane for part in final for plane in _flat(part)] if isinstance(final, tuple) else [final]


def _lists(rows, column_type):
    """(N, k) as an array of lists of k numbers."""
    return arrow().FixedSizeListArray.from_arrays(arrow().array(rows.reshape(-1)), type=column_type)
