"""One run over a source: pieces through a `Transform` in threads, results in order, and into a file."""

import contextlib
import os
from itertools import chain
from typing import Any

from cgru.batch.columns import arrow
from cgru.batch.pieces import Cut
from cgru.batch.source import open_source
from cgru.batch.transform import BadRow, Transform
from cgru.checks import check_size
from cgru.files import refuse_input, whole_file
from cgru.threads import map_in_threads, thread_count

GROUP = 4 << 20        # bytes of a row group that is written


class Job:
    """A model over a source, checked; it can be run once.

    Parameters
    ----------
    transform : Transform
    source, threads, rows
        As of `cgru.batch.run`.
    """

    _first: Any = None      # the first schema's place, and that of its result

    def __init__(self, transform, source, threads=-1, rows=None):
        self._transform, self._threads = transform, thread_count(threads)
        self._given = source
        rows = None if rows is None else check_size("rows", rows)
        row_bytes, number_bytes = transform.result_bytes
        self._cut = Cut(transform.columns, transform.column, row_bytes, number_bytes, rows)
        self._source = open_source(source)
        self.total = self._source.rows
        for path, schema in self._source.schemas.items():
            self._check(schema, path)
        self.schema = self._first[1]

    @classmethod
    def of(cls, model, source, threads, rows, **options):
        """As the arguments of `cgru.batch.run` say."""
        return cls(Transform(model, **options), source, threads, rows)

    def _check(self, schema, where):
        """Refuse a schema that the model cannot take, or that gives another result than the first one."""
        try:
            found = self._transform.schema(schema)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{where}: {error}" if where else str(error)) from None
        self._first = self._first or (where or "batch 0", found)
        for one, other in zip(self._first[1], found, strict=True):
            if one.type != other.type:
                raise ValueError(
                    f"column {one.name} is {other.type} in {where}, and {one.type} in {self._first[0]}; make them one "
                    "type"
                )

    def results(self, progress=None, skipped=None):
        """Yield the record batches, and tell the two functions of `cgru.batch.run`."""
        parts = self._source.parts(self._cut, self._threads, self._check)
        with contextlib.closing(map_in_threads(self._compute, parts, self._threads)) as found:
            for batch, left_out, rows in chain.from_iterable(found):
                if skipped is not None:
                    for row, reason in left_out.items():
                        skipped(row, reason)
                if progress is not None:
                    progress(rows)
                if batch.num_rows:
                    yield batch

    def _compute(self, part):
        """(record batch, rows that were left out, rows that went in) of each piece of a part."""
        found = []
        for piece in part():
            batch = piece.load()
            try:
                found.append((*self._transform.apply(batch, piece.first_row), batch.num_rows))
            except BadRow as error:
                raise BadRow(error.row, error.column, error.reason, piece.place(error.row)) from None
            del piece, batch
        arrow().default_memory_pool().release_unused()
        return found

    def write(self, path, progress=None, skipped=None, name="path"):
        """Put the results into a Parquet file, which is complete or absent; how many rows it has.

        Errors call the file `name`.

        Raises
        ------
        ValueError
            The path is one that is read.
        """
        self._refuse(os.fspath(path), name)
        from pyarrow import parquet

        rows = 0
        # numbers that hardly repeat gain nothing from a dictionary
        options = {"use_dictionary": list(self._transform.keep) or False}
        with (
            whole_file(path) as file,
            parquet.ParquetWriter(file, self.schema, **options) as writer,
            contextlib.closing(self.results(progress, skipped)) as results,
        ):
            for table in _groups(results):
                writer.write_table(table)
                rows += table.num_rows
        return rows

    def _refuse(self, path, name):
        for one in self._source.schemas:
            if one:
                refuse_input(name, path, {"the source": one})
        if isinstance(self._given, str | os.PathLike) and os.path.isdir(self._given):
            folder = os.path.dirname(os.path.abspath(path))
            if os.path.isdir(folder) and os.path.samefile(folder, self._given):
                raise ValueError(f"{name} {path} is in the folder {self._given}, which is read; write it elsewhere")


def _groups(batches):
    """Tables for a row group each."""
    held, size = [], 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= GROUP:
            yield arrow().Table.from_batches(held)
            held, size = [], 0
    if held:
        yield arrow().Table.from_batches(held)
