"""`cgru.batch.run` and `write`: every kind of source, order, bounds, errors, files complete or absent."""

import itertools
import os
import pickle
import re
import threading
from pathlib import Path

import numpy as np
import pytest

import cgru
import cgru.batch
from cgru.batch import pieces
from cgru.batch import source as sources
from support.peers import peer
from support.processes import run_python
from support.sequences import alone, column_of, draw_rows, numbers_of

pa = peer("pyarrow")
parquet = peer("pyarrow.parquet")

pytestmark = pytest.mark.usefixtures("folder")

N, INPUTS, H = 200, 3, 5


@pytest.fixture
def gru():
    return cgru.GRU(INPUTS, H, rng=1)


@pytest.fixture
def rows(rng):
    return draw_rows(rng, N, INPUTS)


def table_of(rows, layout="lists"):
    names = pa.array([f"row {k}" for k in range(len(rows))])
    return pa.table({"frames": column_of(rows, layout, INPUTS), "id": pa.array(range(len(rows))), "name": names})


def check(model, rows, batches, output="last", first=0):
    """The batches hold what the model makes of each row alone, in order, and the ids."""
    found = pa.Table.from_batches(batches)
    assert found.schema.names == [*(["y"] if output != "state" else ["h"]), "id"]
    assert found["id"].to_pylist() == list(range(first, first + len(rows)))
    for row, result in zip(rows, numbers_of(found[0].combine_chunks(), model.dtype), strict=True):
        assert np.array_equal(result, alone(model, row, output)[0]) or result.size == row.size == 0


def folder_of(table, cuts=(0, 70, 70, 150, 200)):
    """A folder with files in the order of their names, not of their making, one of them empty; and other files."""
    os.makedirs("data/nested")
    parts = [*enumerate(itertools.pairwise(cuts))]
    for number, (low, high) in reversed(parts):
        parquet.write_table(table.slice(low, high - low), f"data/part-{number:03}.parquet", row_group_size=31)
    for name in ("_SUCCESS", "notes.txt", ".hidden.parquet", "_meta.parquet", "nested/a.parquet"):
        with open(f"data/{name}", "w") as file:
            file.write("no Parquet file")
    return "data"


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


# ---- bad rows


def test_bad_rows_are_named_in_the_whole_source_and_in_their_file(gru, rows):
    bad = [row.tolist() for row in rows]
    bad[160] = [[1, 2, 3], [4, 5]]
    bad[3] = bad[190] = None      # 190 is in the second row group of its file
    folder_of(table_of(bad))
    told = []
    found = list(cgru.batch.run(
        gru, "data", column="frames", keep=["id"], bad="skip", skipped=lambda *one: told.append(one)
    ))  # fmt: skip
    assert told == [
        (3, "it is null"), (160, "step 1 has 2 numbers, expected input_size=3"), (190, "it is null"),
    ]  # fmt: skip
    ids = pa.Table.from_batches(found)["id"].to_pylist()
    assert ids == [k for k in range(N) if k not in (3, 160, 190)]
    os.remove("data/part-000.parquet")
    part = os.path.join("data", "part-003.parquet")
    with pytest.raises(ValueError) as error:
        list(cgru.batch.run(gru, "data", column="frames"))
    assert str(error.value) == (
        f"row 90 (row 10 of {part}), column frames: step 1 has 2 numbers, expected input_size=3; mend it, or leave "
        "such rows out with bad='skip'"
    )
    with pytest.raises(ValueError, match=f"^row 10 of {part}, column frames: step 1"):
        list(cgru.batch.run(gru, part, column="frames", rows=4))
    assert pickle.loads(pickle.dumps(error.value)).row == 90
    bad[160] = bad[161]
    parquet.write_table(table_of(bad[150:]), part, row_group_size=31)
    with pytest.raises(ValueError, match=r"^row 120 \(row 40 of .*\), column frames: it is null"):
        list(cgru.batch.run(gru, "data", column="frames"))


def test_what_comes_before_a_bad_row_is_given(gru, rows):
    bad = [*rows[:100], None, *rows[101:]]
    results, found = cgru.batch.run(gru, table_of(bad), column="frames", keep=["id"], rows=20, threads=3), []
    with pytest.raises(ValueError, match=r"^row 100, column frames: it is null"):
        found.extend(results)
    check(gru, rows[:100], found)


def test_only_bad_rows(gru):
    parquet.write_table(table_of([None] * 9), "in.parquet")
    assert cgru.batch.write(gru, "in.parquet", "out.parquet", column="frames", bad="skip") == 0
    assert parquet.read_table("out.parquet").num_rows == 0


# ---- errors, before anything is computed or written


def error_of(kind, *arguments, **options):
    """The error of `write`, which leaves nothing."""
    before = sorted(os.listdir())
    with pytest.raises(kind) as error:
        cgru.batch.write(*arguments, **{"column": "frames"} | options)
    assert sorted(os.listdir()) == before
    return str(error.value)


def test_files_that_are_wrong(gru, rows):
    table = table_of(rows)
    parquet.write_table(table, "in.parquet")
    whole = Path("in.parquet").read_bytes()
    with open("text.parquet", "w") as file:
        file.write("PAR1 but no Parquet file")
    with open("cut.parquet", "wb") as file:
        file.write(whole[: len(whole) // 2])
    with open("spoilt.parquet", "wb") as file:
        file.write(whole[:4] + bytes(1000) + whole[1004:])
    os.mkdir("empty")
    for name in ("text", "cut", "spoilt"):
        words = error_of(ValueError, gru, f"{name}.parquet", "out.parquet")
        assert words.startswith(f"{name}.parquet is no Parquet file, or is damaged: ")
    assert "nothing.parquet" in error_of(FileNotFoundError, gru, "nothing.parquet", "out.parquet")
    assert "empty is a folder without .parquet files" in error_of(ValueError, gru, "empty", "out.parquet")
    assert "no/out.parquet" in error_of(FileNotFoundError, gru, "in.parquet", "no/out.parquet")


def test_an_output_that_is_read(gru, rows):
    folder_of(table_of(rows))
    parquet.write_table(table_of(rows), "in.parquet")
    os.symlink("in.parquet", "link.parquet")
    for source, path in (("in.parquet", "link.parquet"), ("data", "data/part-001.parquet")):
        assert "is the same file as the source" in error_of(ValueError, gru, source, path)
    assert "is in the folder data, which is read" in error_of(ValueError, gru, "data", "./data/new.parquet")
    assert parquet.read_table("in.parquet").num_rows == N


def test_files_that_do_not_fit_each_other(gru, rows):
    os.mkdir("data")
    parquet.write_table(table_of(rows), "data/a.parquet")
    other = table_of(rows)
    parquet.write_table(other.set_column(1, "id", other["id"].cast(pa.int32())), "data/b.parquet")
    words = error_of(ValueError, gru, "data", "out.parquet", keep=["id"])
    assert words.startswith("column id is int32 in ") and "and int64 in " in words
    assert cgru.batch.write(gru, "data", "all.parquet", column="frames") == 2 * N
    parquet.write_table(other.drop_columns("id"), "data/b.parquet")
    words = error_of(ValueError, gru, "data", "out.parquet", keep=["id"])
    assert words == f"{os.path.join('data', 'b.parquet')}: column id is not there; there are frames, name"
    double = other.set_column(0, "frames", other["frames"].cast(pa.list_(pa.list_(pa.float64()))))
    parquet.write_table(double, "data/b.parquet")
    found = pa.Table.from_batches(list(cgru.batch.run(gru, "data", column="frames", keep=["id"])))
    assert found.slice(0, N)["y"].to_pylist() == found.slice(N)["y"].to_pylist()


@pytest.mark.parametrize("options, kind, words", [
    ({"column": "x"}, ValueError, "column x is not there; there are frames, id, name"),
    ({"column": "name"}, TypeError, "column name is string, expected a list of steps"),
    ({"rows": 0}, ValueError, "rows must be at least 1"),
    ({"rows": 1.5}, TypeError, "rows must be an integer"),
    ({"threads": 0}, ValueError, "threads must be at least 1"),
    ({"source": 3}, TypeError, "source must be the path of a Parquet file"),
    ({"source": [3]}, TypeError, "source must give record batches or tables of pyarrow; got int"),
    ({"model": cgru.GRU(4, 5, rng=0), "source": "fixed.parquet"}, ValueError, "steps of 3 numbers"),
])  # fmt: skip
def test_arguments_are_checked_at_the_call(gru, rows, options, kind, words):
    parquet.write_table(table_of(rows), "in.parquet")
    parquet.write_table(table_of(rows, "lists of fixed"), "fixed.parquet")
    with pytest.raises(kind, match=words):
        cgru.batch.run(**{"model": gru, "source": "in.parquet", "column": "frames"} | options)


def test_an_interrupted_run_leaves_nothing_and_ends_its_threads(gru, rows):
    """Whatever is raised while results come, here by the function that hears of progress."""
    parquet.write_table(table_of(rows), "in.parquet", row_group_size=10)
    before = threading.active_count()
    for kind in (KeyboardInterrupt, RuntimeError):
        heard = []

        def progress(count, kind=kind, heard=heard):
            heard.append(count)
            if len(heard) == 5:
                raise kind

        with pytest.raises(kind):
            cgru.batch.write(gru, "in.parquet", "out.parquet", column="frames", threads=3, progress=progress)
        assert sorted(os.listdir()) == ["in.parquet"] and threading.active_count() == before


def test_a_full_disk_leaves_nothing(gru, rows):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    before = threading.active_count()
    with pytest.raises(OSError, match="No space left"):
        cgru.batch.write(gru, table_of(rows), "/dev/full", column="frames", rows=10)
    assert threading.active_count() == before


def test_pyarrow_is_imported_when_it_is_needed():
    program = """
import sys
import numpy as np
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
