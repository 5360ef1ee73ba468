"""What travels between the tasks of a job on Ray, and the tasks.

A record batch goes as the bytes of an Arrow stream in a Ray block of one row, a message, so that Ray neither joins,
splits nor converts what is in it. Tasks and not actors, since any node can do a lost one again.
"""

from __future__ import annotations

import pickle
import platform
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru._version import __version__
from cgru.batch.columns import arrow
from cgru.batch.pieces import Piece, share
from cgru.batch.source import Group, pieces_of
from cgru.batch.transform import BadRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cgru.batch.transform import Transform


def ray_data() -> Any:
    """The package ray, with ray.data, imported when first needed.

    Raises
    ------
    ImportError
        It is not installed.
    """
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise ImportError('a cluster needs Ray: pip install "cgru[ray]"') from error
    return ray


BYTES = 32 << 20            # of the rows of one task, in and out, about; less where the model is large, ...
WORK = 20_000_000_000       # ... parameters times steps, or where all workers would not have several: ...
LEAST = 1 << 20             # ... down to so many


def tasks(groups, cut, model, workers):
    """How many bytes a task of so many workers computes, and a list of neighbouring groups for each that reads.

    A task costs Ray some 10 ms, and leaves a gap before the next. So they have `BYTES`, or give a large model `WORK`
    for about a second. Where the caller says how many `rows`, it is that many, or a group.
    """
    work = WORK // max(1, model.num_parameters) * model.input_size * (model.dtype.itemsize + cut.number_bytes)
    most = share(sum(group.size for group in groups), workers, LEAST, min(BYTES, max(1, int(work))))
    found: list[list[Group]] = []
    left = 0
    for group in groups:
        if left <= 0:
            found.append([])
            left = cut.rows or most
        found[-1].append(group)
        left -= group.rows if cut.rows else group.size
    return most, found


class Reading:
    """Row groups of Parquet files become record batches, one after the other, put together until they have `most`."""

    def __init__(self, cut, most):
        self.cut, self.most = cut.at_most(most // 4), most

    def __call__(self, block):
        groups = [Group(**row) for row in block.to_pylist()]
        try:
            yield from self._messages(pieces_of(groups, self.cut))
        except (OSError, ValueError) as error:
            yield message(groups[0], error=OSError(f"on node {platform.node()}: {error}"))

    def _messages(self, pieces):
        for _, inside in groupby(pieces, attrgetter("path")):       # a message says in which file its rows are
            first, held, size = None, [], 0
            for piece in inside:
                first = piece if first is None else first
                held.append(piece.load())
                size += self.cut.of_batch(held[-1])
                if self.cut.rows is not None or size >= self.most:
                    yield message(first, batch=packed(held))
                    first, held, size = None, [], 0
            if held:
                yield message(first, batch=packed(held))


class Computing:
    """Record batches go through a Transform that stands in Ray's store."""

    def __init__(self, transform):
        self.transform, self.version = transform, __version__

    def __call__(self, block):
        for number in range(block.num_rows):
            rows = block.slice(number, 1)
            yield rows if rows["error"][0].is_valid else self._computed(rows)

    def _computed(self, rows):
        first, path, first_in_file = (rows[name][0].as_py() for name in ("first_row", "path", "first_in_file"))
        batch = read(rows["batch"][0])
        piece = Piece(lambda: batch, first, path, first_in_file)
        if self.version != __version__:
            return message(piece, error=OSError(
                f"on node {platform.node()}: this is cgru {__version__}, and the job was started by {self.version}; "
                "install one version everywhere"
            ))  # fmt: skip
        try:
            transform = _here(self.transform)
        except OSError as error:
            return message(piece, error=error)
        try:
            result, bad = transform.apply(batch, first)
        except BadRow as error:
            where = piece.place(error.row)
            return message(piece, error=BadRow(error.row, error.column, error.reason, where))
        return message(piece, packed([result]), rows=batch.num_rows, bad=bad.items())


def message(piece, batch=None, error=None, rows=0, bad=()):
    """A Ray block of one row: where the rows stand, and the batch, or the error in its place."""
    pa = arrow()
    return pa.table({
        "first_row": [piece.first_row],
        "path": [piece.path],
        "first_in_file": [piece.first_in_file],
        "rows": [rows],
        "bad": pa.array([[{"row": row, "reason": reason} for row, reason in bad]], pa.list_(pa.struct(
            {"row": pa.int64(), "reason": pa.string()}
        ))),
        "error": pa.array([None if error is None else pickle.dumps(error)], pa.binary()),
        "batch": pa.nulls(1, pa.large_binary()) if batch is None else batch,
    })  # fmt: skip


_LOADED: dict[str, Transform] = {}      # the one Transform that this worker computes with


def _here(reference):
    key = reference.hex()
    if key not in _LOADED:
        ray = ray_data()
        _LOADED.clear()
        try:
            _LOADED[key] = ray.get(reference)
        except ray.exceptions.RaySystemError as error:      # not to be unpickled: a task that raised it is run again
            raise OSError(f"on node {platform.node()}: the model cannot be read: {last_line(error)}") from error
    return _LOADED[key]


def last_line(error):
    """Of the text of one of Ray's errors, which ends with what went wrong."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def packed(batches):
    """Record batches as an array of one value: the bytes of an Arrow stream."""
    pa = arrow()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write(batch)
    data = sink.getvalue()
    offsets = pa.py_buffer(np.array([0, data.size], np.int64))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, data])


def read(value):
    """The Table that was `packed`."""
    return arrow().ipc.open_stream(value.as_buffer()).read_all()


def checked(blocks, total, ordered) -> Iterator[dict[str, Any]]:
    """The messages in the blocks; an error where they do not hold every row once, in their order if that is asked."""
    seen, done = set(), 0
    for block in blocks:
        for number in range(block.num_rows):
            found = {name: block[name][number].as_py() for name in ("first_row", "rows", "bad", "error")}
            if found["error"] is not None:
                raise pickle.loads(found["error"])
            first = found["first_row"]
            if first in seen or (ordered and first != done):
                raise RuntimeError(f"Ray gave the rows from {first} on out of their turn, after {done} rows")
            if not ordered:
                seen.add(first)
            done += found["rows"]
            yield found | {"batch": block["batch"][number]}
    if done != total:
        raise RuntimeError(f"Ray gave {done} rows, the source has {total}")
