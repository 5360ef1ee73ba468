"""Tables and folders of sequences, and what a run must make of them."""

import importlib.util
import itertools
import os

import numpy as np
import pytest

from support.peers import REQUIRED
from support.sequences import alone, arrow, column_of, numbers_of

N, INPUTS, H = 200, 3, 5
FILES, WIDE = (1300, 1700), 7        # rows of each file of the data set, and its model's size

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None and not REQUIRED, reason="could not import 'ray'"
)  # fmt: skip


def table_of(rows, layout="lists"):
    """Rows with a number and a name."""
    pa = arrow()
    names = pa.array([f"row {k}" for k in range(len(rows))])
    return pa.table({"frames": column_of(rows, layout, INPUTS), "id": pa.array(range(len(rows))), "name": names})


def check(model, rows, batches, output="last", first=0):
    """The batches hold what the model makes of each row alone, in order, and the ids."""
    found = arrow().Table.from_batches(batches)
    assert found.schema.names == [*(["y"] if output != "state" else ["h"]), "id"]
    assert found["id"].to_pylist() == list(range(first, first + len(rows)))
    for row, result in zip(rows, numbers_of(found[0].combine_chunks(), model.dtype), strict=True):
        assert np.array_equal(result, alone(model, row, output)[0]) or result.size == row.size == 0


def folder_of(table, cuts=(0, 70, 70, 150, 200)):
    """A folder with files in the order of their names, not of their making, one of them empty; and other files."""
    from pyarrow import parquet

    os.makedirs("data/nested")
    parts = [*enumerate(itertools.pairwise(cuts))]
    for number, (low, high) in reversed(parts):
        parquet.write_table(table.slice(low, high - low), f"data/part-{number:03}.parquet", row_group_size=31)
    for name in ("_SUCCESS", "notes.txt", ".hidden.parquet", "_meta.parquet", "nested/a.parquet"):
        with open(f"data/{name}", "w") as file:
            file.write("no Parquet file")
    return "data"


def read(path):
    """A Parquet file, or those of a folder."""
    from pyarrow import parquet

    return parquet.read_table(path)
