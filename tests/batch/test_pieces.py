"""How a source is cut: by the bytes that are in memory and that come out, and so that all threads have something."""

import tracemalloc

import numpy as np
import pytest

import cgru
import cgru.batch
from cgru.batch import pieces
from cgru.batch import source as sources
from cgru.batch.pieces import PIECE, Cut
from cgru.batch.transform import Transform
from support.peers import peer

pa = peer("pyarrow")
parquet = peer("pyarrow.parquet")

pytestmark = pytest.mark.usefixtures("folder")


def column_of(numbers, lengths, inputs):
    """A column of rows of these lengths, in steps of so many numbers."""
    steps = pa.ListArray.from_arrays(np.arange(0, len(numbers) + 1, inputs, np.int32), pa.array(numbers))
    return pa.ListArray.from_arrays(np.cumsum([0, *lengths], dtype=np.int32), steps)


def random_table(rng, lengths, inputs):
    numbers = rng.normal(size=sum(lengths) * inputs).astype(np.float32)
    return pa.table({"frames": column_of(numbers, lengths, inputs)})


def parts_of(path, cut, threads):
    return sources.open_source(path).parts(cut, threads, None)


@pytest.mark.parametrize("source", ["file", "table"])
@pytest.mark.parametrize("threads", [2, 5])
def test_one_row_group_is_for_all_threads(rng, source, threads):
    table = random_table(rng, [50] * 400, 16)
    parquet.write_table(table, "in.parquet")
    assert parquet.ParquetFile("in.parquet").num_row_groups == 1
    gru, done = cgru.GRU(16, 3, rng=1), []
    given = table if source == "table" else "in.parquet"
    list(cgru.batch.run(gru, given, column="frames", threads=threads, progress=done.append))
    assert 4 * threads <= len(done) <= 5 * threads and sum(done) == 400 and max(done) <= 400 / (4 * threads)
    cut = Cut(("frames",), "frames", 12, 0)
    given = sources.open_source(given).parts(cut, threads, lambda schema, where: None)
    assert [len([*part()]) for part in given] == [1] * len(done)


def test_little_stays_together(rng):
    """Threads are no reason to compute a few rows at a time."""
    done = []
    table = random_table(rng, [50] * 20, 16)
    list(cgru.batch.run(cgru.GRU(16, 3, rng=1), table, column="frames", threads=8, progress=done.append))
    assert done == [20]


def test_what_stands_once_in_a_file_and_often_in_memory():
    """One-hot steps: a tenth of the bytes, encoded."""
    hot = np.eye(16, dtype=np.float32)[np.arange(300_000) * 7 % 16]
    table = pa.table({"frames": column_of(hot.reshape(-1), [100] * 3000, 16)})
    parquet.write_table(table, "in.parquet")
    group = parquet.ParquetFile("in.parquet").metadata.row_group(0)
    assert sum(group.column(k).total_uncompressed_size for k in range(group.num_columns)) < table.nbytes / 6
    cut = Cut(("frames",), "frames", 20, 0)
    assert 0.9 * table.nbytes < cut.of_group(group) < 1.1 * table.nbytes
    sizes = [piece.load().nbytes for part in parts_of("in.parquet", cut, 1) for piece in part()]
    assert len(sizes) >= 5 and max(sizes) < 1.1 * PIECE and sum(sizes) > 0.9 * table.nbytes


@pytest.mark.parametrize("source", ["one group", "groups", "table", "batches", "dataset"])
def test_what_comes_out_counts(rng, source):
    """A number in becomes 64 numbers out, and some rows are far longer than others."""
    lengths = [*[40_000] * 2, *[1] * 5000, *[25] * 1400]
    table = random_table(rng, lengths, 1)
    parquet.write_table(table, "in.parquet", row_group_size=1000 if source == "groups" else None)
    given = {
        "table": table, "batches": table.to_batches(), "dataset": peer("pyarrow.dataset").dataset("in.parquet"),
    }.get(source, "in.parquet")  # fmt: skip
    gru = cgru.GRU(1, 64, rng=1)
    found = list(cgru.batch.run(gru, given, column="frames", output="all", threads=1))
    assert sum(batch.num_rows for batch in found) == len(lengths)
    assert [len(y) for batch in found for y in batch["y"]] == lengths
    assert sum(batch.nbytes for batch in found) > 7 * PIECE
    assert all(batch.nbytes < 2.1 * PIECE for batch in found if batch.num_rows > 1)
    assert sum(batch.num_rows == 1 for batch in found) < 10


def test_large_results_of_a_small_group_are_not_held_together(rng):
    """A part has all results of a row group before the first is given: only where they are small."""
    table = random_table(rng, [10] * 4000, 1)
    parquet.write_table(table, "in.parquet", row_group_size=500)
    for number_bytes, count in ((4, 8), (4096, 8 * 5)):
        parts = [[*part()] for part in parts_of("in.parquet", Cut(("frames",), "frames", 4, number_bytes), 2)]
        assert len(parts) == count and sum(len(part) for part in parts) >= count
        firsts = [piece.first_row for part in parts for piece in part]
        rows = [piece.load().num_rows for part in parts for piece in part]
        assert firsts == np.cumsum([0, *rows])[:-1].tolist() and sum(rows) == 4000


@pytest.mark.parametrize("source", ["one group", "groups"])
def test_memory_is_that_of_some_pieces(rng, source):
    """Four times the rows take no more."""
    gru, peaks = cgru.GRU(1, 64, rng=1), []
    for count in (2000, 8000):
        parquet.write_table(
            random_table(rng, [50] * count, 1), "in.parquet", row_group_size=300 if source == "groups" else None
        )  # fmt: skip
        tracemalloc.start()
        try:
            sizes = [one.nbytes for one in cgru.batch.run(gru, "in.parquet", column="frames", output="all", threads=1)]
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert sum(sizes) > 24 * PIECE and peaks[1] < 6 * PIECE
    assert peaks[1] < 1.1 * peaks[0]


def test_numbers_are_counted_in_every_layout(rng):
    from support.sequences import LAYOUTS, column_of, draw_rows, types

    rows = draw_rows(rng, 30, 3)
    for layout in LAYOUTS:
        if layout not in types():
            continue
        batch = pa.record_batch({"frames": column_of(rows, layout, 3), "name": pa.array(["ab"] * 30)})
        numbers = sum(row.size for row in rows)
        transform = Transform(cgru.GRU(3, 5, rng=1), "frames", output="all", keep=["name"])
        cut = Cut(transform.columns, transform.column, *transform.result_bytes)
        expected = 4 * numbers + batch["name"].nbytes + 30 * 4 + numbers // 3 * 5 * 4
        assert cut.of_batch(batch) == cut.of_batch(pa.Table.from_batches([batch])) == pytest.approx(expected, abs=1)
        some = pa.Table.from_batches([batch]).slice(10, 5)
        numbers = sum(row.size for row in rows[10:15])
        result = transform(some)
        assert result["y"].nbytes == pytest.approx(cut.out(5, numbers), abs=9)


def test_share():
    assert pieces.share(100 << 20, 2, 64 << 10, 4 << 20) == 4 << 20
    assert pieces.share(8 << 20, 2, 64 << 10, 4 << 20) == 1 << 20
    assert pieces.share(1000, 2, 64 << 10, 4 << 20) == 64 << 10
