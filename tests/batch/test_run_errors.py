"""`cgru.batch.run` and `write` where something is wrong: rows, files, arguments, the disk, the caller's functions."""

import os
import pickle
import threading
from pathlib import Path

import pytest

import cgru
import cgru.batch
from support.batches import N, check, folder_of, table_of
from support.peers import peer

pa = peer("pyarrow")
parquet = peer("pyarrow.parquet")

pytestmark = pytest.mark.usefixtures("folder")


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


def test_batches_that_do_not_fit_each_other(gru, rows):
    """In the words that files get; what came before is given, and a batch of the first one's type is taken."""
    table = table_of(rows)
    first, second, third = table.slice(0, 60), table.slice(60, 70), table.slice(130)
    texts = second.set_column(1, "id", second["id"].cast(pa.string()))
    words = error_of(ValueError, gru, [first, texts], "out.parquet", keep=["id"])
    assert words == "column id is string in batch 1, and int64 in batch 0; make them one type"
    words = error_of(ValueError, gru, [first, second, third.drop_columns("id")], "out.parquet", keep=["id"])
    assert words == "batch 2: column id is not there; there are frames, name"
    names = third.set_column(0, "frames", third["name"])
    words = error_of(TypeError, gru, [first, second, names], "out.parquet", keep=["id"])
    assert words.startswith("batch 2: column frames is string, expected a list of steps")
    results, found = cgru.batch.run(gru, [first, texts], column="frames", keep=["id"], threads=2), []
    with pytest.raises(ValueError, match="in batch 1"):
        found.extend(results)
    check(gru, rows[:60], found)
    double = second.set_column(0, "frames", second["frames"].cast(pa.list_(pa.list_(pa.float64()))))
    other = [first, double.drop_columns("name"), third]
    check(gru, rows, list(cgru.batch.run(gru, other, column="frames", keep=["id"])))


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
