"""`cgru.batch.run` and `write`: every kind of source, order, bounds."""

import itertools
import os
import re
import threading
from pathlib import Path

import pytest

import cgru
import cgru.batch
from cgru.batch import pieces
from cgru.batch import source as sources
from support.batches import N, check, folder_of, table_of
from support.peers import peer
from support.processes import run_python

pa = peer("pyarrow")
parquet = peer("pyarrow.parquet")

pytestmark = pytest.mark.usefixtures("folder")


def sources_of(table):
    parquet.write_table(table, "one.parquet")
    parquet.write_table(table, "groups.parquet", row_group_size=17)
    dataset = peer("pyarrow.dataset")
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=40))
    return {
        "file": "one.parquet", "groups": "groups.parquet", "folder": folder_of(table), "table": table,
        "batches": table.to_batches(max_chunksize=23), "generator": iter(table.to_batches(max_chunksize=23)),
        "batch": table.combine_chunks().to_batches()[0], "tables": [table.slice(0, 90), table.slice(90)],
        "reader": reader, "dataset": dataset.dataset("groups.parquet"),
    }  # fmt: skip


@pytest.mark.parametrize("source", [
    "file", "groups", "folder", "table", "batches", "generator", "batch", "tables", "reader", "dataset",
])  # fmt: skip
@pytest.mark.parametrize("threads, size", [(1, None), (3, None), (2, 7)])
def test_every_source(gru, rows, source, threads, size):
    given, done = sources_of(table_of(rows))[source], []
    found = list(cgru.batch.run(
        gru, given, column="frames", keep=["id"], threads=threads, rows=size, progress=done.append
    ))  # fmt: skip
    check(gru, rows, found)
    assert sum(done) == N and len(done) >= len(found)
    assert size is None or (max(done) <= 7 and len(found) >= N // 7)


@pytest.mark.parametrize("output", ["last", "all", "state"])
@pytest.mark.parametrize("layout", ["lists", "lists of fixed", "flat", "large lists"])
def test_into_a_file_and_back(gru, rows, output, layout, monkeypatch):
    monkeypatch.setattr("cgru.batch.job.GROUP", 3000)
    parquet.write_table(table_of(rows, layout), "in.parquet", row_group_size=50)
    assert cgru.batch.write(gru, "in.parquet", "out.parquet", column="frames", output=output, keep=["id"]) == N
    check(gru, rows, parquet.read_table("out.parquet").to_batches(), output)
    assert 1 < parquet.ParquetFile("out.parquet").metadata.num_row_groups <= 4
    assert sorted(os.listdir()) == ["in.parquet", "out.parquet"]


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_row_groups_are_read_in_windows(gru, rows, monkeypatch, limit):
    """Whether by the threads, each a row group of its own, or by one after the other, changes nothing."""
    monkeypatch.setattr(sources, "GROUP", limit)
    monkeypatch.setattr(sources, "SHARES", 0)
    monkeypatch.setattr(pieces, "LEAST", 2000)
    monkeypatch.setattr(pieces, "SHARES", 100)
    parquet.write_table(table_of(rows), "in.parquet", row_group_size=90)
    done = []
    found = list(cgru.batch.run(gru, "in.parquet", column="frames", keep=["id"], progress=done.append))
    check(gru, rows, found)
    assert len(done) > 6 and max(done) < 40


def test_nothing_is_held_beyond_a_few_pieces(gru, rows):
    """As many pieces as are in flight are taken from the source before a result is asked for."""
    taken, table = [], table_of(rows[:10])

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield table

    for threads in (1, 2):
        taken.clear()
        results = cgru.batch.run(gru, endless(), column="frames", threads=threads)
        most = [len(taken) for _ in itertools.islice(results, 20)]
        assert most[-1] <= 20 + 2 * threads + 1 and len(most) == 20
        before = threading.active_count()
        results.close()
        assert threading.active_count() <= before - (threads > 1)


def test_columns_that_are_not_asked_for_are_not_read(gru, rows, monkeypatch):
    table = table_of(rows).append_column("large", pa.array(["x" * 1000] * N))
    parquet.write_table(table, "in.parquet", row_group_size=60)
    read, original = [], parquet.ParquetFile.iter_batches

    def iter_batches(*args, **options):
        for batch in original(*args, **options):
            read.append(batch)
            yield batch

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", iter_batches)
    list(cgru.batch.run(gru, "in.parquet", column="frames", keep=["name"], threads=1))
    assert len(read) == 4 and all(set(one.schema.names) == {"frames", "name"} for one in read)


def test_no_rows(gru, rows):
    empty = table_of(rows).slice(0, 0)
    parquet.write_table(empty, "empty.parquet")
    assert parquet.ParquetFile("empty.parquet").metadata.num_rows == 0
    with parquet.ParquetWriter("groups.parquet", empty.schema):
        pass
    assert parquet.ParquetFile("groups.parquet").metadata.num_row_groups == 0
    for source in ("empty.parquet", "groups.parquet", empty, pa.RecordBatchReader.from_batches(empty.schema, [])):
        assert cgru.batch.write(gru, source, "out.parquet", column="frames", keep=["name"]) == 0
        found = parquet.read_table("out.parquet")
        assert found.num_rows == 0 and found.schema.names == ["y", "name"]
    with pytest.raises(ValueError, match="source gives no batches"):
        cgru.batch.run(gru, [], column="frames")


def test_pyarrow_is_imported_when_it_is_needed():
    program = """
import sys
sys.modules["pyarrow"] = None
import cgru, cgru.batch, cgru.batch.transform
gru = cgru.GRU(3, 5, rng=0)
transform = cgru.batch.transform.Transform(gru, "frames")
try:
    cgru.batch.run(gru, "in.parquet", column="frames")
except ImportError as error:
    print(error)
"""
    assert 'pip install "cgru[parquet]"' in run_python(program).stdout
    assert "False" in run_python("import sys, cgru, cgru.batch, cgru.commands; print('pyarrow' in sys.modules)").stdout


def test_the_example_of_the_documentation(gru, rows):
    page = Path(__file__).parents[2] / "docs" / "many.md"
    if not page.exists():
        pytest.skip("docs/ is in the repository only")
    section = page.read_text(encoding="utf-8").split("## Files of sequences")[1].split("\n## ")[0]
    [example] = re.findall(r"^```python\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
    gru.save("model.safetensors")
    parquet.write_table(table_of([*rows[:90], None]), "rows.parquet", row_group_size=60)
    assert run_python(example).stdout.split() == ["60", "['y',", "'id']", "30", "['y',", "'id']"]
