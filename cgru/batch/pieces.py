"""How much is computed at a time: pieces of some rows, as large as what they hold in memory and what comes out."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from cgru.batch.columns import arrow, numbers_in

PIECE = 4 << 20         # bytes of a piece, in and out: about so many, ...
ROWS = 1 << 14          # ... and at most so many rows, ...
SHARES = 4              # ... and so many pieces for each thread, ...
LEAST = 64 << 10        # ... as long as they have so many bytes
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}


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


def share(total: int, threads: int, least: int, most: int) -> int:
    """How many bytes to compute at a time, of so many, from `least` to `most`: so that every thread has several."""
    return min(most, max(least, total // (SHARES * threads)))


class Cut(NamedTuple):
    """How a source is cut into pieces.

    Attributes
    ----------
    columns : tuple of str
        Those that are read.
    column : str
        The one among them that holds the sequences.
    row_bytes, number_bytes : float
        What comes out of a row, and of each number in it.
    rows : int or None
        How many rows the caller wants in a piece.
    most : int
        Where that is None, how many bytes a piece has, in and out.
    """

    columns: tuple[str, ...]
    column: str
    row_bytes: float
    number_bytes: float
    rows: int | None = None
    most: int = PIECE

    def shared(self, total: int, threads: int) -> "Cut":
        """The same for `total` bytes that so many threads share."""
        return self.at_most(share(total, threads, LEAST, PIECE))

    def at_most(self, most: int) -> "Cut":
        """The same with smaller pieces."""
        return self._replace(most=max(1, min(self.most, most)))

    def out(self, rows: int, numbers: int) -> int:
        """How many bytes come out of some rows, kept columns apart."""
        return int(self.row_bytes * rows + self.number_bytes * numbers)

    def of_batch(self, batch: Any) -> int:
        """How many bytes a RecordBatch or Table has in these columns, and what comes out of it."""
        kept = sum(batch.column(name).nbytes for name in self.columns if name != self.column)
        return kept + self._of_sequences(batch.column(self.column))

    def of_group(self, group: Any) -> int:
        """The same of a row group, by its metadata: what stands there once may be read many times over."""
        inside = numbers = 0
        for part in (group.column(number) for number in range(group.num_columns)):
            if self._holds(part, self.columns):
                inside += max(part.total_uncompressed_size, part.num_values * _WIDTHS.get(part.physical_type, 0))
            if self._holds(part, [self.column]):
                numbers += part.num_values
        return inside + self.out(group.num_rows, numbers)

    def window(self, size: int, rows: int) -> int:
        """How many rows to take at a time of so many, that have `size` bytes."""
        most = self.rows or max(1, min(ROWS, self.most * rows // max(1, size)))
        return max(1, min(most, rows))

    def slices(self, batch: Any) -> Iterator[Any]:
        """A batch of a window's rows, in two where its sequences are far longer than most, and so on."""
        if self.rows is None and batch.num_rows > 1 and self._of_sequences(batch.column(self.column)) > 2 * self.most:
            half = batch.num_rows // 2
            yield from self.slices(batch.slice(0, half))
            yield from self.slices(batch.slice(half))
        else:
            yield batch

    def _of_sequences(self, column):
        numbers = sum(map(numbers_in, column.chunks if isinstance(column, arrow().ChunkedArray) else [column]))
        inner = column.type
        while not arrow().types.is_primitive(inner):
            inner = inner.value_type
        return numbers * inner.bit_width // 8 + self.out(len(column), numbers)

    @staticmethod
    def _holds(part, names):
        return any(f"{part.path_in_schema}.".startswith(f"{name}.") for name in names)


def held(batch, *place):
    """A `Piece` that is in memory."""
    return Piece(partial(_same, batch), *place)


def _same(batch):
    return batch
