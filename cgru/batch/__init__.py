"""Files of sequences: a column of Parquet files or of an Arrow data set through a model, on all cores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cgru.batch.job import Job

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator


def run(
    model: Any, source: Any, *, column: str, output: str = "last", keep: Iterable[str] = (), bad: str = "fail",
    threads: int = -1, rows: int | None = None, progress: Callable[[int], object] | None = None,
    skipped: Callable[[int, str], object] | None = None,
) -> Iterator[Any]:  # fmt: skip
    """Run a model over a column of sequences of any lengths.

    Parameters
    ----------
    model : GRU, LSTM, RNN or Sequential
        Of any directions.
    source : path, pyarrow.dataset.Dataset, pyarrow.Table, or iterable of pyarrow.RecordBatch or Table
        The path is that of a Parquet file, or of a folder: its .parquet files in the order of their names, folders
        inside it and names that begin with a dot or an underscore left out.
    column : str
        Which column holds the sequences: in each row a list of steps, which are lists of input_size numbers, or a flat
        list of the numbers of all steps. Integers and other floats are converted to the model's dtype.
    output : {"last", "all", "state"}, default "last"
        See `Transform`: ``y`` of each row's last step, or of all its steps, or its final state ``h`` (and ``c``).
    keep : iterable of str, default ()
        Columns that are handed on.
    bad : {"fail", "skip"}, default "fail"
        What to do with a row that is null, that has a null in it, or a step of another width.
    threads : int, default -1
        How many pieces of the source to compute at the same time; -1 is all cores that the process may use. With 1
        nothing is computed ahead.
    rows : int, optional
        How many rows to take at a time; by default up to about 4 MB of them, with what comes out.
    progress : function of an int, optional
        Called with a number of rows when they are done.
    skipped : function of an int and a str, optional
        Called, with ``bad="skip"``, with the number of each row that is left out and what is wrong with it.

    Returns
    -------
    iterator of pyarrow.RecordBatch
        In the order of the source: the columns of `output`, and then the kept ones.

    Raises
    ------
    TypeError, ValueError
        As `Transform`: an argument, a column that is not there or holds no sequences. Before the first batch; in its
        turn where a later batch of an iterable has other types than the first.
    OSError, ValueError
        A file that is not there or is damaged; a folder without Parquet files.
    cgru.batch.transform.BadRow
        A ValueError that names the row, in its turn: `bad`.
    ImportError
        The package pyarrow is not installed: ``pip install "cgru[parquet]"``.

    Notes
    -----
    A row's result is that of ``model(row)``, with ``engine="packed"`` to the last bit. Rows of like lengths are
    computed side by side. Memory does not grow with the number of rows: up to ``2 * threads + 1`` pieces are held. A
    piece has up to about 4 MB, as it is in memory and with what comes out; of files and tables it has less where that
    gives every thread some. Of files with four row groups or more for each thread, those of up to 16 MB with their
    results are read in all threads, and are held in place of a piece; else one thread reads, piece by piece. A data
    set is read as pyarrow scans it, whole row groups whatever their size.

    Examples
    --------
    >>> import numpy as np, cgru, cgru.batch
    >>> import pyarrow as pa
    >>> gru = cgru.GRU(2, 3, rng=0)
    >>> table = pa.table({"id": [7, 8], "frames": [[[0.5, 1], [2, 3], [4, 5]], [[6, 7]]]})
    >>> [batch] = cgru.batch.run(gru, table, column="frames", keep=["id"])
    >>> batch.num_rows, batch.schema.names
    (2, ['y', 'id'])
    """
    job = Job.of(model, source, threads, rows, column=column, output=output, keep=keep, bad=bad)
    return job.results(progress, skipped)


def write(
    model: Any, source: Any, path: str | os.PathLike[str], *, column: str, output: str = "last",
    keep: Iterable[str] = (), bad: str = "fail", threads: int = -1, rows: int | None = None,
    progress: Callable[[int], object] | None = None, skipped: Callable[[int, str], object] | None = None,
) -> int:  # fmt: skip
    """Run a model over a column of sequences, into a Parquet file; see `run`.

    The file gets its name when it is complete: an error or an interrupt leaves what was there before.

    Parameters
    ----------
    model, source, column, output, keep, bad, threads, rows, progress, skipped
        As of `run`.
    path : str or path-like
        The file to write. It must be none of those that are read, nor stand in the folder that is read.

    Returns
    -------
    int
        How many rows it has.

    Raises
    ------
    OSError
        The file cannot be written.
    TypeError, ValueError, ImportError
        As `run`; a `path` that is read.
    """
    job = Job.of(model, source, threads, rows, column=column, output=output, keep=keep, bad=bad)
    return job.write(path, progress, skipped)
