"""What the tests of files of sequences share: a small model and rows of any lengths."""

import os

import numpy as np
import pytest

import cgru
from support.batches import FILES, INPUTS, WIDE, H, N
from support.sequences import arrow, draw_rows


@pytest.fixture
def gru():
    return cgru.GRU(INPUTS, H, rng=1)


@pytest.fixture
def rows(rng):
    return draw_rows(rng, N, INPUTS)


@pytest.fixture
def data_set(folder, rng):
    """A folder of two files, and in the second one a row that is null and one of another width; the model."""
    pa = arrow()
    from pyarrow import parquet

    first = 0
    os.mkdir("rows")
    for name, count, group in zip("ab", FILES, (500, 600), strict=True):
        frames = [rng.normal(size=(T, INPUTS)).astype(np.float32).tolist() for T in rng.integers(0, 9, count)]
        if name == "b":
            frames[7], frames[1650] = None, [[1.0] * INPUTS, [2.0]]
        table = pa.table({
            "id": np.arange(first, first + count)[::-1],
            "frames": pa.array(frames, pa.list_(pa.list_(pa.float32()))),
        })  # fmt: skip
        parquet.write_table(table, f"rows/{name}.parquet", row_group_size=group)
        first += count
    model = cgru.GRU(INPUTS, WIDE, rng=rng)
    model.save("model.safetensors")
    return model
