"""What a job on Ray is made of, without a cluster: tasks, messages, errors."""

import contextlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from cgru.batch import ray as on_ray
from cgru.batch import ray_tasks
from cgru.batch.pieces import Cut, Piece
from cgru.batch.source import Group, row_groups
from cgru.batch.transform import Transform
from support.batches import FILES, INPUTS, WIDE, needs_ray, read
from support.peers import peer
from support.processes import run_cgru

pa = peer("pyarrow")


@pytest.fixture
def rows(data_set):
    """The model; the data set is in the folder."""
    return data_set


def message(rows, first, count):
    return ray_tasks.message(Piece(list, first), ray_tasks.packed([rows.slice(0, 1)]), rows=count)


@pytest.mark.parametrize(("firsts", "ordered", "wrong"), [
    ([(0, 3), (3, 4)], True, None),
    ([(3, 4), (0, 3)], False, None),
    ([(3, 4), (0, 3)], True, "from 3 on out of their turn, after 0"),
    ([(0, 3), (0, 3), (3, 4)], True, "from 0 on out of their turn, after 3"),
    ([(0, 3), (0, 4)], False, "from 0 on out of their turn, after 3"),
    ([(0, 3)], True, "3 rows, the source has 7"),
    ([(3, 4)], False, "4 rows, the source has 7"),
])  # fmt: skip
def test_rows_that_are_lost_or_come_twice_are_noticed(firsts, ordered, wrong):
    rows = pa.table({"id": [1, 2]})
    blocks = [message(rows, *one) for one in firsts]
    if wrong is None:
        found = list(ray_tasks.checked(blocks, 7, ordered))
        assert [one["first_row"] for one in found] == [first for first, _ in firsts]
        assert all(ray_tasks.read(one["batch"]).equals(rows.slice(0, 1)) for one in found)
    else:
        with pytest.raises(RuntimeError, match=wrong):
            list(ray_tasks.checked(blocks, 7, ordered))


def test_a_node_with_another_version(rows, monkeypatch):
    task = ray_tasks.Computing(None)
    monkeypatch.setattr(ray_tasks, "__version__", "0.0.1")
    [block] = task(message(read("rows/a.parquet"), 0, 1))
    with pytest.raises(OSError, match=r"this is cgru 0\.0\.1, and the job was started by"):
        list(ray_tasks.checked([block], 1, True))


IDS = Cut(("frames", "id"), "frames", 4 * WIDE, 0)


def block_of(groups):
    return pa.Table.from_pylist([one.row() for one in groups])


def test_a_node_without_the_file(rows):
    [block] = ray_tasks.Reading(IDS, 1)(block_of([Group("absent.parquet", 0, 0, 0, 1, 1)]))
    assert list(ray_tasks.Computing(None)(block)) == [block]
    with pytest.raises(OSError, match=r"on node .*absent\.parquet"):
        list(ray_tasks.checked([block], 1, True))


@pytest.mark.parametrize("size", [None, 90])
def test_pieces_are_put_together(rows, monkeypatch, size):
    """Over the groups of a file, until they are large enough or as the caller says; every row once, with its number."""
    monkeypatch.setattr(ray_tasks, "LEAST", 1)
    cut, counts = IDS._replace(rows=size), {}
    paths = ["rows/a.parquet", "rows/b.parquet"]
    groups = [*row_groups(paths, cut)]
    total = sum(group.size for group in groups)
    for most in (1, total // 4, ray_tasks.BYTES):
        monkeypatch.setattr(ray_tasks, "BYTES", most)
        monkeypatch.setattr("cgru.batch.pieces.SHARES", 1)
        limit, found = ray_tasks.tasks(groups, cut, rows, 1)
        assert [group for some in found for group in some] == groups and limit == min(most, total)
        counts[most] = len(found)
        messages = [
            (one["path"][0].as_py(), one["first_row"][0].as_py(), ray_tasks.read(one["batch"][0]))
            for some in found for one in ray_tasks.Reading(cut, limit)(block_of(some))
        ]  # fmt: skip
        counts[most] = len(found), len(messages)
        starts = np.cumsum([0, *(len(table) for _, _, table in messages)])[:-1].tolist()
        assert [first for _, first, _ in messages] == starts
        assert [path for path, first, _ in messages] == [paths[first >= FILES[0]] for first in starts]
        whole = pa.concat_tables(table for _, _, table in messages)
        assert whole.select(["id"]).equals(read("rows").select(["id"]))
    few, some, many = counts.values()
    if size is None:
        assert few[0] == len(groups) and few[1] > 1000 and 2 <= some[0] < few[0] and 4 <= some[1] < 7
        assert many == (1, 2)       # a message for each file
    else:
        assert few == some == many == (len(groups), sum(-(-group.rows // size) for group in groups))


def test_predictor(rows):
    table = read("rows/b.parquet").slice(100, 30)
    expected = [rows(np.asarray(x, np.float32).reshape(-1, INPUTS))[1][0] for x in table["frames"].to_pylist()]
    for model in (rows, "model.safetensors", Path("model.safetensors")):
        found = on_ray.Predictor(model, "frames", output="state", keep=["id"])(table)
        assert np.array_equal(np.array(found["h"].to_pylist(), np.float32), expected)
        assert found["id"].equals(table["id"])
    bad = read("rows/b.parquet").slice(5, 4)
    with pytest.raises(ValueError, match="row 2 of a batch of 4, column frames: it is null"):
        on_ray.Predictor(rows, "frames")(bad)
    assert on_ray.Predictor(rows, "frames", keep=["id"], bad="skip")(bad)["id"].equals(
        bad["id"].take(pa.array([0, 1, 3]))
    )


@needs_ray
@pytest.mark.parametrize(("source", "options", "error", "text"), [
    ("rows", {"address": "nowhere"}, ValueError, "address nowhere: expected host:port"),
    ("rows", {"address": "ray://127.0.0.1:1"}, ValueError, "expected host:port"),
    ("rows", {"address": "127.0.0.1:1"}, ConnectionError, "no Ray cluster at 127.0.0.1:1"),
    ("rows", {"workers": 0}, ValueError, "workers must be at least 1"),
    ("rows", {"column": "id"}, TypeError, "column id is int64"),
    ("none", {}, OSError, "none"),
    ([], {}, TypeError, "source must be the path of a Parquet file"),
])  # fmt: skip
def test_errors(rows, source, options, error, text):
    with pytest.raises(error, match=text):
        on_ray.run(rows, source, "y.parquet", **({"column": "frames"} | options))
    assert sorted(os.listdir()) == ["model.safetensors", "rows"]


@needs_ray
def test_an_error_of_the_caller_s_own_function_stays_what_it_is(rows, monkeypatch):
    """And one of the cluster's becomes an OSError."""
    import ray

    monkeypatch.setattr(on_ray, "_cluster", lambda address, workers: contextlib.nullcontext(ray))
    table = read("rows/b.parquet").slice(100, 40).combine_chunks()
    result = Transform(rows, "frames")(table)

    def blocks(ray):
        yield ray_tasks.message(Piece(list, 0), ray_tasks.packed([result]), rows=40, bad=[(3, "it is null")])
        raise RuntimeError("the cluster is gone")

    job = on_ray.RayJob(Transform(rows, "frames"), "rows")
    monkeypatch.setattr(job, "_blocks", blocks)

    def fail(*arguments):
        raise RuntimeError("my own")

    for functions in ({"progress": fail}, {"skipped": fail}):
        with pytest.raises(RuntimeError, match=r"^my own$"):
            list(job.results(**functions))
        with pytest.raises(RuntimeError, match=r"^my own$"):
            job.write("y.parquet", **functions)
    results = job.results()
    assert next(results).equals(result)
    with pytest.raises(OSError, match="the job on Ray failed: the cluster is gone"):
        next(results)
    assert sorted(os.listdir()) == ["model.safetensors", "rows"]


def test_errors_of_the_command(rows):
    done = run_cgru("run", "model.safetensors", "rows", "--column", "frames", "--workers", "2", "-o", "y.parquet")
    assert done.returncode == 2 and "--workers is for a cluster; add --ray" in done.stderr


def test_without_ray(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'pip install "cgru\[ray\]"'):
        on_ray.run(rows, "rows", "y.parquet", column="frames")
