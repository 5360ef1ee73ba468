"""What is read: Parquet files, a pyarrow data set or batches, as pieces of bounded size in their order."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, NamedTuple

from cgru.batch.columns import arrow
from cgru.batch.pieces import PIECE, SHARES, Cut, Piece, held

GROUP = 16 << 20        # row groups of at most so many bytes, in and out, are parts where there are many


class Source(NamedTuple):
    """What is read.

    Attributes
    ----------
    schemas : dict of str to pyarrow.Schema
        By path, "" where there is none. Of several only the first is compared with the model; all are with the first.
    parts : function of (cut, threads, check)
        An iterator of the parts that may be computed side by side in so many threads, each a function of nothing that
        gives its pieces as they are wanted, as the `Cut` says. ``check(schema, where)`` hears of every schema that was
        not known before.
    rows : int or None
        How many there are, where that is known.
    """

    schemas: dict[str, Any]
    parts: Callable[[Cut, int, Callable[[Any, str], object]], Iterator[Callable[[], Iterable[Piece]]]]
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
        return Source({"": source.schema}, partial(_of_table, source), source.num_rows)
    if hasattr(source, "to_batches") and hasattr(source, "schema"):
        return Source({"": source.schema}, lambda cut, threads, check: _parts(_scan(source, cut), cut, check), None)
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
    known = [] if first is None else [first]
    return Source({"": schema}, lambda cut, threads, check: _parts(chain(known, batches), cut, check), None)


# ---- batches


def _scan(dataset, cut):
    size = cut.rows or 1024
    return dataset.to_batches(columns=list(cut.columns), batch_size=size, batch_readahead=2, fragment_readahead=1)


def _checked(batch):
    pa = arrow()
    if not isinstance(batch, pa.Table | pa.RecordBatch):
        raise TypeError(f"source must give record batches or tables of pyarrow; got {type(batch).__name__}")
    return batch


def _of_table(table, cut, threads, check):
    return _parts([table], cut.shared(cut.of_batch(table), threads), check)


def _parts(batches, cut, check):
    """Parts of a piece each of batches and tables."""
    first, known = 0, None
    for number, batch in enumerate(batches):
        if known is None or not _checked(batch).schema.equals(known):
            known = _checked(batch).schema
            check(known, f"batch {number}")
        size = cut.window(cut.of_batch(batch), batch.num_rows)
        for start in range(0, batch.num_rows, size):
            for some in cut.slices(batch.slice(start, size)):
                yield _one(held(some, first))
                first += some.num_rows


def _one(piece):
    """A part that is one piece."""
    return lambda: [piece]


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
    schemas, rows = {}, 0
    for path in paths:
        with _opened(path) as file:
            schemas[path] = file.schema_arrow
            rows += file.metadata.num_rows
    return Source(schemas, lambda cut, threads, check: _of_files(paths, cut, threads), rows)


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


class Group(NamedTuple):
    """A row group with rows, which any process can read that has the file."""

    path: str
    number: int
    first_row: int          # in the whole source
    first_in_file: int
    rows: int
    size: int               # in bytes, in and out

    def row(self) -> dict[str, Any]:
        """Of a table of them."""
        return self._asdict()

    def pieces(self, cut: Cut, metadata: Any = None) -> Iterator[Piece]:
        """Its pieces."""
        with _opened(self.path, metadata) as file:
            yield from self.windows(file, cut)

    def windows(self, file: Any, cut: Cut) -> Iterator[Piece]:
        """The same out of the opened file."""
        window, done = cut.window(self.size, self.rows), 0
        for batch in file.iter_batches(window, [self.number], list(cut.columns), use_threads=False):
            for some in cut.slices(batch):
                yield held(some, self.first_row + done, self.path, self.first_in_file + done)
                done += some.num_rows


def row_groups(paths: Iterable[str], cut: Cut) -> Iterator[Group]:
    """Every `Group`, in their order, of files that hold one data set."""
    first = 0
    for path in paths:
        with _opened(path) as file:
            metadata = file.metadata
        start = 0
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            if group.num_rows:
                yield Group(path, number, first + start, start, group.num_rows, cut.of_group(group))
            start += group.num_rows
        first += start


def pieces_of(groups: Iterable[Group], cut: Cut) -> Iterator[Piece]:
    """The pieces of some of them, each file opened once."""
    for path, some in groupby(groups, attrgetter("path")):
        with _opened(path) as file:
            for group in some:
                yield from group.windows(file, cut)


def _of_files(paths, cut, threads):
    """Where every thread has several row groups, small ones are read by whoever computes them; the others here."""
    total = count = 0
    for group in row_groups(paths, cut):
        total, count = total + group.size, count + 1
        if count >= SHARES * threads and total >= SHARES * threads * PIECE:
            break
    cut, many = cut.shared(total, threads), count >= SHARES * threads
    for path, groups in groupby(row_groups(paths, cut), attrgetter("path")):
        with _opened(path) as file:
            for group in groups:
                if many and group.size <= GROUP:
                    yield partial(group.pieces, cut, file.metadata)
                else:
                    yield from map(_one, group.windows(file, cut))
