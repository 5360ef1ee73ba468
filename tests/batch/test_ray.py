"""The job on a cluster: what arrives is what one machine computes, whatever becomes of the nodes.

Programs with Ray are processes of their own, with a limit of time.
"""

import importlib.util
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import cgru
import cgru.batch
from cgru.batch import ray as on_ray
from cgru.batch import ray_tasks
from cgru.batch.pieces import Cut, Piece
from cgru.batch.source import Group, row_groups
from cgru.batch.transform import Transform
from support.peers import REQUIRED, peer
from support.processes import ROOT, run_cgru, run_python, start_cgru

HERE = Path(__file__).parent
N, INPUTS, H = (1300, 1700), 3, 7

pa = peer("pyarrow")
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None and not REQUIRED, reason="could not import 'ray'"
)  # fmt: skip


@pytest.fixture
def rows(folder, rng):
    """A folder of two files, and in the second one a row that is null and one of another width; the model."""
    from pyarrow import parquet

    first = 0
    os.mkdir("rows")
    for name, count, group in zip("ab", N, (500, 600), strict=True):
        frames = [rng.normal(size=(T, INPUTS)).astype(np.float32).tolist() for T in rng.integers(0, 9, count)]
        if name == "b":
            frames[7], frames[1650] = None, [[1.0] * INPUTS, [2.0]]
        table = pa.table({
            "id": np.arange(first, first + count)[::-1],
            "frames": pa.array(frames, pa.list_(pa.list_(pa.float32()))),
        })  # fmt: skip
        parquet.write_table(table, f"rows/{name}.parquet", row_group_size=group)
        first += count
    model = cgru.GRU(INPUTS, H, rng=rng)
    model.save("model.safetensors")
    return model


def read(path):
    from pyarrow import parquet

    return parquet.read_table(path)


ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0",
    "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
}  # fmt: skip


@needs_ray
def test_a_node_is_killed(rows):
    environment = ENVIRONMENT | {"ARRIVALS": os.path.abspath("arrivals.txt")}
    done = run_python((HERE / "two_nodes.py").read_text(encoding="utf-8"), environment=environment, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    left_out = []
    cgru.batch.write(
        rows, "rows", "local.parquet", column="frames", keep=["id"], bad="skip",
        skipped=lambda *one: left_out.append(list(one)),
    )  # fmt: skip
    # in the middle of it, when both had the model
    assert 500 <= seen["killed_after"] < 2000
    assert len({node for node, _ in seen["arrivals"]}) == 2
    # every row once, in order, bit for bit
    assert seen["rows"] == sum(N)
    assert read("ordered.parquet").equals(read("local.parquet"))
    assert seen["left_out"] == left_out and [row for row, _ in left_out] == [1307, 2950]
    # the model went to each process once
    assert set(Counter(process for _, process in seen["arrivals"]).values()) == {1}
    # the cluster was left as it was, without what the job had there
    assert not seen["connected"] and seen["still_connected"]
    assert seen["cores"] == seen["free"] == seen["free_again"] == 1
    # without order the same rows
    cgru.batch.write(rows, "rows", "state.parquet", column="frames", keep=["id"], bad="skip", output="state")
    assert read("unordered.parquet").sort_by("id").equals(read("state.parquet").sort_by("id"))
    # a bad row has its number in the data set and in its file
    with pytest.raises(ValueError) as caught:
        cgru.batch.write(rows, "rows", "absent.parquet", column="frames", keep=["id"])
    inside = os.path.join("rows", "b.parquet")
    assert "row 1307 (row 7 of" in str(caught.value) and "null" in seen["error"]
    assert seen["error"] == str(caught.value).replace(inside, os.path.abspath(inside))
    assert seen["unreadable"].endswith(": the model cannot be read: ModuleNotFoundError: No module named 'absent'")
    assert not list(Path().glob("absent*"))
    # an actor pool has the model once too
    expected = Transform(rows, "frames", keep=["id"])(read("rows/b.parquet").slice(100, 400))
    assert read("predicted").sort_by("id").equals(pa.Table.from_batches([expected]).sort_by("id"))
    assert len(seen["actors"]) == 1


def descendants(process):
    """{pid: when it started} of the processes below this one."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1]), fields[19]
    found = {process: ""}
    while True:
        more = {pid: start for pid, (parent, start) in parents.items() if parent in found and pid not in found}
        if not more:
            return {pid: start for pid, start in found.items() if pid != process}
        found |= more


def title(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0")
    except OSError:
        return b""


def alive(processes):
    """Those that still run."""
    found = []
    for pid, start in processes.items():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[19] == start and fields[0] != "Z":
            found.append(title(pid))
    return found


@needs_ray
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_an_interrupted_run_leaves_nothing(rows, monkeypatch):
    from pyarrow import parquet

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    table = read("rows/a.parquet")
    table = table.set_column(1, "frames", pa.array([[[0.5] * INPUTS] * 20_000] * 8 + [[]] * 1292, table["frames"].type))
    with parquet.ParquetWriter("long.parquet", table.schema) as writer:
        for _ in range(50):
            writer.write_table(table)
    arguments = "run model.safetensors long.parquet --column frames --output all -o y.parquet --ray --workers 1"
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)      # a child inherits what is ignored
    try:
        process = start_cgru(*arguments.split())
    finally:
        signal.signal(signal.SIGTERM, before)
    ours, deadline = {}, time.monotonic() + 60
    while not any(b"Computing" in title(pid) for pid in ours):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
        ours = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM and not out and not err
    assert sorted(os.listdir()) == ["long.parquet", "model.safetensors", "rows"]
    deadline = time.monotonic() + 30
    while alive(ours) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(ours) > 2 and not alive(ours)


@needs_ray
def test_command(rows):
    arguments = ["run", "model.safetensors", "rows", "--column", "frames", "--keep", "id", "--bad", "skip", "-o"]
    done = run_cgru(*arguments, "there.parquet", "--ray", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "2 rows were left out: row 1307: it is null, row 2950" in done.stderr
    assert done.stdout.startswith("wrote there.parquet: 2,998 rows, y (7) float32") and "Ray" in done.stdout
    assert run_cgru(*arguments, "here.parquet").returncode == 0
    assert read("there.parquet").equals(read("here.parquet"))


# ---- without a cluster


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


IDS = Cut(("frames", "id"), "frames", 4 * H, 0)


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
            for some in found for one in ray_tasks.Reading(cut._replace(most=total // 20), limit)(block_of(some))
        ]  # fmt: skip
        counts[most] = len(found), len(messages)
        starts = np.cumsum([0, *(len(table) for _, _, table in messages)])[:-1].tolist()
        assert [first for _, first, _ in messages] == starts
        assert [path for path, first, _ in messages] == [paths[first >= N[0]] for first in starts]
        whole = pa.concat_tables(table for _, _, table in messages)
        assert whole.select(["id"]).equals(read("rows").select(["id"]))
    few, some, many = counts.values()
    if size is None:
        assert few[0] == len(groups) and few[1] > 20 and 2 <= some[0] < few[0] and 4 <= some[1] < few[1]
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


def test_errors_of_the_command(rows):
    done = run_cgru("run", "model.safetensors", "rows", "--column", "frames", "--workers", "2", "-o", "y.parquet")
    assert done.returncode == 2 and "--workers is for a cluster; add --ray" in done.stderr


def test_without_ray(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'pip install "cgru\[ray\]"'):
        on_ray.run(rows, "rows", "y.parquet", column="frames")
