"""One run over a source: pieces through a `Transform` in threads, results in order, and into a file."""

import contextlib
import os
from itertools import chain
from typing import Any

from cgru.batch.columns import arrow
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

    def __init__(self, transform, source, threads=-1, rows=None):
        self._transform, self._threads = transform, thread_count(threads)
        self._given, self._rows = source, None if rows is None else check_size("rows", rows)
        self._source = open_source(source)
        self.total = self._source.rows
        self.schema = self._schema()

    @classmethod
    def of(cls, model, source, threads, rows, **options):
        """As the arguments of `cgru.batch.run` say."""
        return cls(Transform(model, **options), source, threads, rows)

    def _schema(self):
        """Of what comes out, the same of all files."""
        first: Any = None
        for path, schema in self._source.schemas.items():
            try:
                found = self._transform.schema(schema)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{path}: {error}" if path else str(error)) from None
            first = (path, found) if first is None else first
            for one, other in zip(first[1], found, strict=True):
                if one.type != other.type:
                    raise ValueError(
                        f"column {one.name} is {other.type} in {path}, and {one.type} in {first[0]}; make them one type"
                    )
        return first[1]

    def results(self, progress=None, skipped=None):
        """Yield the record batches, and tell the two functions of `cgru.batch.run`."""
        parts = self._source.parts(self._transform.columns, self._rows)
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

    def write(self, path, progress=None, skipped=None):
        """Put the results into a Parquet file, which is complete or absent; how many rows it has.

        Raises
        ------
        ValueError
            The path is one that is read.
        """
        self._refuse(os.fspath(path))
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

    def _refuse(self, path):
        for one in self._source.schemas:
            if one:
                refuse_input("path", path, {"the source": one})
        if isinstance(self._given, str | os.PathLike) and os.path.isdir(self._given):
            folder = os.path.dirname(os.path.abspath(path))
            if os.path.isdir(folder) and os.path.samefile(folder, self._given):
                raise ValueError(f"path {path} is in the folder {self._given}, which is read; write it elsewhere")


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
