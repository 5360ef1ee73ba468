"""What is read: Parquet files, a pyarrow data set or batches, as pieces of bounded size in their order."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from cgru.batch.columns import arrow

WINDOW = 4 << 20        # bytes that are read at a time, about, ...
ROWS = 1 << 14          # ... and at most as many rows
GROUP = 16 << 20        # row groups of at most so many bytes are read several at a time, each by one thread


class Piece(NamedTuple):
    """Some rows, to be read when they are wanted.

    Attributes
    ----------
    load : function of nothing
        Reads them: a pyarrow RecordBatch or Table.
    first_row : int
        The number of the first in the whole source.
    path : str
        Of the file that they are in; "" where there is none.
    first_in_file : int
        The number of the first in that file.
    """

    load: Callable[[], Any]
    first_row: int
    path: str = ""
    first_in_file: int = 0

    def place(self, row: int) -> str:
        """What a message says behind the number of a row."""
        if not self.path:
            return ""
        inside = row - self.first_row + self.first_in_file
        return f" (row {inside} of {self.path})" if inside != row else f" of {self.path}"


class Source(NamedTuple):
    """What is read.

    Attributes
    ----------
    schemas : dict of str to pyarrow.Schema
        By path, "" where there is none. Of several only the first is compared with the model; all are with the first.
    parts : function of (columns, rows)
        An iterator of the parts that may be computed side by side, each a function of nothing that gives its pieces
        as they are wanted: of these columns, about so many rows each, or None.
    rows : int or None
        How many there are, where that is known.
    """

    schemas: dict[str, Any]
    parts: Callable[[tuple[str, ...], int | None], Iterator[Callable[[], Iterable[Piece]]]]
    rows: int | None


def open_source(source: Any) -> Source:
    """The `Source` of what `cgru.batch.run` was given.

    Raises
    ------
    OSError, ValueError
        A file that is not there, is damaged or no Parquet file; a folder without Parquet files; no batches.
    TypeError
        It is nothing that can be read.
    """
    pa = arrow()
    if isinstance(source, str | os.PathLike):
        return _files(_paths(os.fspath(source)))
    if isinstance(source, pa.Table | pa.RecordBatch):
        source = [source]
    elif hasattr(source, "to_batches") and hasattr(source, "schema"):
        return Source({"": source.schema}, lambda columns, rows: _parts(_scan(source, columns, rows), rows), None)
    if not isinstance(source, Iterable):
        raise TypeError(
            "source must be the path of a Parquet file or of a folder of them, a pyarrow data set or table, or an "
            f"iterable of record batches; got {type(source).__name__}"
        )
    batches, schema = iter(source), getattr(source, "schema", None)
    first = next(batches, None)
    if first is not None:
        schema = _checked(first).schema
    elif schema is None:
        raise ValueError("source gives no batches, so its columns are not known; take a table with a schema")
    held = [] if first is None else [first]
    return Source({"": schema}, lambda columns, rows: _parts(chain(held, batches), rows), None)


# ---- batches


def _scan(dataset, columns, rows):
    return dataset.to_batches(columns=list(columns), batch_size=rows or 1024, batch_readahead=2, fragment_readahead=1)


def _checked(batch):
    pa = arrow()
    if not isinstance(batch, pa.Table | pa.RecordBatch):
        raise TypeError(f"source must give record batches or tables of pyarrow; got {type(batch).__name__}")
    return batch


def _parts(batches, rows):
    """Parts of a piece each of batches and tables, those with more than `rows` rows cut."""
    first = 0
    for batch in batches:
        size = rows or _rows_of(_checked(batch).nbytes, batch.num_rows)
        for start in range(0, batch.num_rows, size):
            part = batch.slice(start, size)
            yield _held(Piece(partial(_same, part), first))
            first += part.num_rows


def _same(batch):
    return batch


def _held(piece):
    """A part that is one piece."""
    return lambda: [piece]


def _rows_of(nbytes, rows):
    """How many rows are about a window, of `rows` rows that have so many bytes."""
    return max(1, min(ROWS, WINDOW * max(1, rows) // max(1, nbytes)))


# ---- files


def _paths(path):
    """The Parquet files in a folder by their names, or the one file."""
    if not os.path.isdir(path):
        return [path]
    names = sorted(name for name in os.listdir(path) if name.lower().endswith(".parquet") and name[0] not in "._")
    found = [os.path.join(path, name) for name in names]
    found = [one for one in found if os.path.isfile(one)]
    if not found:
        raise ValueError(f"{path} is a folder without .parquet files; folders inside it are not looked into")
    return found


def _files(paths):
    schemas, counts = {}, []
    for path in paths:
        with _opened(path) as file:
            schemas[path] = file.schema_arrow
            counts.append(file.metadata.num_rows)
    return Source(schemas, lambda columns, rows: _of_files(paths, counts, columns, rows), sum(counts))


@contextlib.contextmanager
def _opened(path, metadata=None):
    """A pyarrow ParquetFile, read through a small buffer; errors say which file it is."""
    from pyarrow import ArrowException, parquet

    with open(path, "rb"):      # its error names the path
        pass
    try:
        with parquet.ParquetFile(path, metadata=metadata, pre_buffer=False, buffer_size=1 << 20) as file:
            yield file
    except MemoryError:
        raise
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path} is no Parquet file, or is damaged: {error}") from error


def _of_files(paths, counts, columns, rows):
    first = 0
    for path, count in zip(paths, counts, strict=True):
        yield from _of_file(path, columns, rows, first)
        first += count


def _of_file(path, columns, rows, before):
    """A file's row groups, `before` rows before them: small ones read by whoever wants them, large ones here."""
    start = 0
    with _opened(path) as file:
        metadata = file.metadata
        for number in range(metadata.num_row_groups):
            row_group = metadata.row_group(number)
            if row_group.num_rows:
                group = Group(path, number, before + start, start)
                if _bytes_of(row_group, columns) <= GROUP:
                    yield partial(group.pieces, columns, rows, metadata)
                else:
                    yield from map(_held, group.windows(file, columns, rows))
            start += row_group.num_rows


class Group(NamedTuple):
    """A row group, which any process can read that has the file."""

    path: str
    number: int
    first_row: int          # in the whole source
    first_in_file: int

    def pieces(self, columns: Iterable[str], rows: int | None, metadata: Any = None) -> Iterator[Piece]:
        """Its pieces, of about so many rows each, or None."""
        with _opened(self.path, metadata) as file:
            yield from self.windows(file, columns, rows)

    def windows(self, file: Any, columns: Iterable[str], rows: int | None) -> Iterator[Piece]:
        """The same out of the opened file."""
        group, done = file.metadata.row_group(self.number), 0
        window = min(group.num_rows, rows or _rows_of(_bytes_of(group, columns), group.num_rows))
        for batch in file.iter_batches(window, [self.number], list(columns), use_threads=False):
            yield Piece(partial(_same, batch), self.first_row + done, self.path, self.first_in_file + done)
            done += batch.num_rows


def row_groups(paths: Iterable[str]) -> Iterator[Group]:
    """Every `Group` with rows, in their order, of files that hold one data set."""
    first = 0
    for path in paths:
        with _opened(path) as file:
            start, metadata = 0, file.metadata
        for number in range(metadata.num_row_groups):
            count = metadata.row_group(number).num_rows
            if count:
                yield Group(path, number, first + start, start)
            start += count
        first += start


def _bytes_of(group, columns):
    """What a row group has in these columns, uncompressed."""
    parts = (group.column(number) for number in range(group.num_columns))
    return sum(
        part.total_uncompressed_size for part in parts
        if any(f"{part.path_in_schema}.".startswith(f"{name}.") for name in columns)
    )  # fmt: skip
