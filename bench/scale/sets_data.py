"""The generated set: a folder of Parquet files of sequences, the model that goes over them, and the right answers.

A set is FILES files of as many rows each. A longer or shorter one is a folder of hard links to these, over and over.
"""

import os
import shutil
from pathlib import Path

import numpy as np

from bench.common.numpy_cells import numpy_model
from cgru.judge.points import Point

I, H = 16, 64  # noqa: E741
SHORTEST, LONGEST = 20, 200
FILES = 10
GROUP_ROWS = 2048
COLUMN, RESULT = "frames", "y"
SAMPLES = 48


def state():
    """The GRU's weights by PyTorch's names, the same for everybody."""
    return Point(1, 1, I, H).draw_weights(np.random.default_rng(0))


class Sequences:
    """The sequences of a file, from its number alone: `lengths` (rows,), `starts` (rows + 1,), `flat` (steps, I)."""

    def __init__(self, number, rows):
        rng = np.random.default_rng([1, number % FILES])
        self.lengths = rng.integers(SHORTEST, LONGEST + 1, rows)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.flat = rng.standard_normal((self.starts[-1], I), dtype=np.float32)

    def row(self, number):
        """One sequence (T, I)."""
        return self.flat[self.starts[number] : self.starts[number + 1]]


class Set:
    """A folder of files with `rows` sequences each.

    Attributes
    ----------
    folder : pathlib.Path
    files, rows : int
        Number of files, and of rows in each.
    """

    def __init__(self, folder, files, rows):
        self.folder, self.files, self.rows = Path(folder), files, rows

    def __len__(self):
        return self.files * self.rows

    def linked(self, folder, files):
        """Another set of so many files, which are this one's over and over: no room on the disk, no time to make."""
        folder = Path(folder)
        folder.mkdir(parents=True)
        for number in range(files):
            _link(_path(self.folder, number % self.files), _path(folder, number))
        return Set(folder, files, self.rows)

    def sample(self, count=SAMPLES):
        """Numbers of rows to compare, spread over the set, with the first and the last."""
        numbers = np.linspace(0, len(self) - 1, min(count, len(self))).astype(int)
        return np.unique(numbers)

    def sequences(self, numbers):
        """Yield the sequences (T, I) of rows in growing order."""
        number, file = None, None
        for row in numbers:
            if row // self.rows != number:
                number = row // self.rows
                file = Sequences(number, self.rows)
            yield file.row(row % self.rows)


def make(folder, rows, files=FILES):
    """Write a set of about so many rows, at least one in each of its files."""
    made = Set(folder, files, max(1, rows // files))
    made.folder.mkdir(parents=True)
    for number in range(made.files):
        _write(_path(folder, number), Sequences(number, made.rows))
    return made


def _write(path, sequences):
    import pyarrow as pa
    from pyarrow import parquet

    steps = pa.FixedSizeListArray.from_arrays(pa.array(sequences.flat.reshape(-1)), I)
    frames = pa.ListArray.from_arrays(pa.array(sequences.starts.astype(np.int32)), steps)
    table = pa.table({COLUMN: frames})
    parquet.write_table(table, path, row_group_size=GROUP_ROWS, compression="none", use_dictionary=False)


def _path(folder, number):
    return Path(folder) / f"part-{number:05d}.parquet"


def _link(source, target):
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def expected(sequences):
    """The last y of every sequence in float64, (rows, H)."""
    model, nothing = numpy_model("gru", state(), np.float64), (np.zeros((1, 1, H)),)
    return np.array([model(x[:, None].astype(np.float64), nothing)[0][-1, 0] for x in sequences])


def results_of(path, numbers):
    """The number of rows of a file of results, and y of those of some numbers that it has, (rows, H) float32."""
    from pyarrow import parquet

    column = parquet.read_table(path, columns=[RESULT])[RESULT].combine_chunks()
    there = column.take(numbers[numbers < len(column)])
    return len(column), np.array(there.to_pylist(), np.float32).reshape(len(there), -1)
