"""What becomes of a record batch: a column of sequences through a model, in batches of like lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.batch.columns import Sequences, arrow, check_type, sequences
from cgru.batch.results import All, Final, Last
from cgru.chain import as_chain, is_network, network_of
from cgru.threads import map_in_threads, thread_count

if TYPE_CHECKING:
    from collections.abc import Iterable

OUTPUTS, BAD = ("last", "all", "state"), ("fail", "skip")
ROWS, BYTES = 64, 4 << 20       # of a batch that goes through the model: at most, and about
PADDED = 4                      # times the steps that there are: at most so many with the padding


class Transform:
    """A function of Arrow record batches, for `run` and for engines that call one: it keeps nothing, and pickles.

    Parameters
    ----------
    model : GRU, LSTM, RNN or Sequential
        Of any directions.
    column : str
        Which column holds the sequences: in each row a list of steps, which are lists of input_size numbers, or a flat
        list of the numbers of all steps. Integers and other floats are converted to the model's dtype.
    output : {"last", "all", "state"}, default "last"
        "last": ``y``, the last step of each row's y, `output_size` numbers; zeros for a row without steps, as from a
        network with ``last=True``. "all": ``y`` with every step. "state": the final state, layer-major,
        direction-minor: ``h``, and an LSTM's ``c``, each num_layers * D * H numbers; of a network with several
        recurrent layers ``0.h``, ``2.c``, ... A row without steps gives its initial state.
    keep : iterable of str, default ()
        Columns that are handed on.
    bad : {"fail", "skip"}, default "fail"
        What to do with a row that is null, that has a null in it, or a step of another width: raise a ValueError with
        its number, or leave it out.
    threads : int, default 1
        How many batches of like lengths to compute at the same time; -1 is all cores.

    Raises
    ------
    TypeError
        `model` is none of these; `column` or `keep` are no names.
    ValueError
        Another `output` or `bad`; an output that the model does not have; a name that two columns would have.

    Notes
    -----
    What comes out of a row is what ``model(row)`` gives, with ``engine="packed"`` to the last bit, whatever stands
    around it.
    """

    def __init__(
        self, model: Any, column: str, *, output: str = "last", keep: Iterable[str] = (), bad: str = "fail",
        threads: int = 1,
    ) -> None:  # fmt: skip
        if not (is_network(model) or hasattr(model, "stream")):
            raise TypeError(f"model must be a GRU, LSTM, RNN or Sequential; got {type(model).__name__}")
        if not isinstance(column, str):
            raise TypeError(f"column must be the name of a column; got {type(column).__name__}")
        keep = keep if isinstance(keep, str) else tuple(keep)
        if isinstance(keep, str) or not all(isinstance(name, str) for name in keep):
            raise TypeError(f"keep must be a list of names of columns; got {keep!r}")
        for name, value, known in (("output", output, OUTPUTS), ("bad", bad, BAD)):
            if value not in known:
                raise ValueError(f"{name} must be {', '.join(map(repr, known[:-1]))} or {known[-1]!r}; got {value!r}")
        self.column, self.output, self.keep, self.bad = column, output, keep, bad
        self.threads = thread_count(threads)
        #: The model, with x as (T, N, I).
        self.model = model.replace(batch_first=False) if model.batch_first else model
        chain = as_chain(network_of(model))
        # where y is reversed as a whole, its padding would stand in front: there batches are of one length
        self._exact = any(one.config.go_backwards and one.config.num_layers % 2 for one in chain.layers)
        several = len(chain.recurrent) > 1
        self._planes = [
            (f"{place}.{plane}" if several else plane, config.num_layers * config.num_directions * config.hidden_size)
            for place in chain.recurrent for config in [chain.layers[place].config] for plane in config.cell.states
        ]  # fmt: skip
        self._output_size = chain.output_size
        widest = max(one.config.cell.stacked * one.config.num_directions * one.config.hidden_size
                     for one in chain.layers)  # fmt: skip
        self._step_bytes = (chain.input_size + widest + chain.output_size) * chain.dtype.itemsize
        if output == "state" and not self._planes:
            raise ValueError("output='state': this network keeps no state; take output='last' or 'all'")
        if output == "all" and chain.last is not False:
            raise ValueError(
                f"output='all': this network has last={chain.last!r}, and gives one step of y; take output='last'"
            )
        names = [*self.outputs, *keep]
        for name in names:
            if names.count(name) > 1:
                whose = "is an output" if name in self.outputs else "stands in it twice"
                raise ValueError(f"keep: {name} {whose}, and the result needs names that differ")

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the columns that the model gives."""
        return tuple(name for name, _ in self._planes) if self.output == "state" else ("y",)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that are read."""
        return tuple(dict.fromkeys((self.column, *self.keep)))

    @property
    def result_bytes(self) -> tuple[float, float]:
        """How many bytes come out of a row, and of each number in its sequence, kept columns apart."""
        size = self.model.dtype.itemsize
        if self.output == "all":
            return 4, self._output_size * size / self.model.input_size
        return (sum(one for _, one in self._planes) if self.output == "state" else self._output_size) * size, 0

    def schema(self, schema: Any) -> Any:
        """The pyarrow.Schema of what comes out.

        Parameters
        ----------
        schema : pyarrow.Schema
            Of what goes in.

        Raises
        ------
        ValueError
            A column is not there, or twice; its type fixes another width than the model's.
        TypeError
            The column is no list of numbers, nor of lists of them.
        """
        pa = arrow()
        for name in self.columns:
            found = len(schema.get_all_field_indices(name))
            if found != 1:
                held = "is there twice" if found else f"is not there; there are {', '.join(schema.names) or 'none'}"
                raise ValueError(f"column {name} {held}")
        check_type(self.column, schema.field(self.column).type, self.model.input_size)
        number = pa.from_numpy_dtype(self.model.dtype)
        if self.output == "state":
            types = [pa.list_(number, size) for _, size in self._planes]
        else:
            step = pa.list_(number, self._output_size)
            types = [pa.list_(step) if self.output == "all" else step]
        fields = [pa.field(name, one) for name, one in zip(self.outputs, types, strict=True)]
        return pa.schema(fields + [pa.field(name, schema.field(name).type) for name in self.keep])

    def __call__(self, batch: Any, first_row: int = 0) -> Any:
        """The pyarrow.RecordBatch for one that comes in, rows in their order; see `apply`."""
        return self.apply(batch, first_row)[0]

    def apply(self, batch: Any, first_row: int = 0) -> tuple[Any, dict[int, str]]:
        """What `__call__` gives, and the rows that were left out.

        Parameters
        ----------
        batch : pyarrow.RecordBatch or pyarrow.Table
        first_row : int, default 0
            The number of its first row, for messages.

        Returns
        -------
        batch : pyarrow.RecordBatch
        skipped : dict of int to str
            The numbers of the rows that are not in it, and why; empty with ``bad="fail"``.

        Raises
        ------
        ValueError
            A bad row, with ``bad="fail"``; as `schema`.
        TypeError
            As `schema`.
        """
        pa = arrow()
        schema = self.schema(batch.schema)
        found = sequences(batch.column(self.column), self.model.input_size)
        if found.bad and self.bad == "fail":
            row, reason = next(iter(found.bad.items()))
            raise BadRow(first_row + row, self.column, reason)
        kept = [batch.column(name) for name in self.keep]
        if found.bad:
            good = np.ones(batch.num_rows, bool)
            good[list(found.bad)] = False
            found = Sequences(found.numbers, found.starts[good], found.lengths[good], found.bad)
            kept = [column.filter(pa.array(good)) for column in kept]
        columns = self._columns(found, schema)
        for column in kept:
            columns.append(_in_one(column))
        return pa.RecordBatch.from_arrays(columns, schema=schema), {
            first_row + row: reason for row, reason in found.bad.items()
        }

    def _columns(self, found, schema):
        """The Arrow arrays of what the model gives."""
        results: Final | All | Last
        if self.output == "state":
            results = Final(found.lengths, [size for _, size in self._planes], self.model.dtype)
        else:
            results = (All if self.output == "all" else Last)(found.lengths, self._output_size, self.model.dtype)
        batches = _like_lengths(found.lengths, self._step_bytes, self._exact)

        def run(rows):
            lengths = found.lengths[rows]
            x = _padded(found.numbers, found.starts[rows], lengths, self.model.input_size)
            uneven = lengths[0] != lengths[-1]
            y, final = self.model(x, lengths=lengths if uneven else None)
            results.put(rows, lengths, y, final)

        for _ in map_in_threads(run, batches, max(1, min(self.threads, len(batches)))):
            pass
        return results.arrays([schema.field(name).type for name in self.outputs])


class BadRow(ValueError):
    """A row that is no sequence of the model.

    Attributes
    ----------
    row : int
        Its number.
    reason : str
    """

    def __init__(self, row: int, column: str, reason: str, where: str = "") -> None:
        super().__init__(row, column, reason, where)
        self.row, self.column, self.reason, self.where = row, column, reason, where

    def __str__(self) -> str:
        return (
            f"row {self.row}{self.where}, column {self.column}: {self.reason}; mend it, or leave such rows out with "
            "bad='skip'"
        )


# ---- batches


def _like_lengths(lengths, step_bytes, exact):
    """Indices of rows, each batch of falling lengths, and of one length where they must be `exact`."""
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        longest = lengths[order[start]]
        count = min(ROWS, max(1, BYTES // (step_bytes * max(1, longest))))
        inside = lengths[order[start : start + count]]
        fitting = inside == longest if exact else np.arange(1, len(inside) + 1) * longest <= PADDED * np.cumsum(inside)
        batches.append(order[start : start + np.count_nonzero(fitting)])
        start += len(batches[-1])
    return batches


def _padded(numbers, starts, lengths, features):
    """x (T, N, I) of some rows, T the first one's length; behind a row's end stands whatever there is."""
    T, N = int(lengths[0]), len(lengths)
    if T == 0:
        return np.zeros((0, N, features), numbers.dtype)
    base = int(starts[lengths > 0].min())
    steps, offs = np.divmod(starts - base, features)
    if offs[lengths > 0].any():     # bad rows of other widths stand between
        x = np.zeros((T, N, features), numbers.dtype)
        for row, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
            x[:length, row] = numbers[start : start + length * features].reshape(length, features)
        return x
    end = base + (len(numbers) - base) // features * features
    whole = numbers[base:end].reshape(-1, features)
    return whole.take(np.arange(T)[:, None] + steps, axis=0, mode="clip")


def _in_one(column):
    """A column as one Array."""
    if not isinstance(column, arrow().ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else arrow().concat_arrays(column.chunks or [
        arrow().array([], column.type)
    ])
