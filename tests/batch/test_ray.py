"""The job on a cluster: what arrives is what one machine computes, whatever becomes of the nodes.

Programs with Ray are processes of their own, with a limit of time.
"""

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import cgru
import cgru.batch
from cgru.batch.transform import Transform
from support.batches import FILES, INPUTS, needs_ray, read
from support.peers import peer
from support.processes import ROOT, run_cgru, run_python, start_cgru

HERE = Path(__file__).parent

pa = peer("pyarrow")


@pytest.fixture
def rows(data_set):
    """The model; the data set is in the folder."""
    return data_set


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
    assert seen["rows"] == sum(FILES)
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
@pytest.mark.parametrize(("number", "handler", "status"), [
    (signal.SIGTERM, signal.SIG_DFL, 143), (signal.SIGINT, signal.default_int_handler, 130),
])  # fmt: skip
def test_an_interrupted_run_leaves_nothing(rows, monkeypatch, number, handler, status):
    from pyarrow import parquet

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    table = read("rows/a.parquet")
    table = table.set_column(1, "frames", pa.array([[[0.5] * INPUTS] * 20_000] * 8 + [[]] * 1292, table["frames"].type))
    with parquet.ParquetWriter("long.parquet", table.schema) as writer:
        for _ in range(50):
            writer.write_table(table)
    arguments = "run model.safetensors long.parquet --column frames --output all -o y.parquet --ray --workers 1"
    before = signal.signal(number, handler)      # a child inherits what is ignored
    try:
        process = start_cgru(*arguments.split())
    finally:
        signal.signal(number, before)
    ours, deadline = {}, time.monotonic() + 60
    while not any(b"Computing" in title(pid) for pid in ours):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
        ours = descendants(process.pid)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status and not out and not err
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


SMALL = """
import cgru.batch.ray_tasks as tasks
import pyarrow.parquet as pq
import ray
from cgru.batch.ray import run

model, counts = cgru.load("model.safetensors"), []
table = pq.read_table("rows/a.parquet")
pq.write_table(table.slice(0, 0), "empty.parquet")
with pq.ParquetWriter("groups.parquet", table.schema):
    pass
ray.init(num_cpus=2, object_store_memory=100 << 20, include_dashboard=False, log_to_driver=False)
for name in ("empty", "groups"):
    print(run(model, f"{name}.parquet", f"of-{name}.parquet", column="frames", keep=["id"]))
tasks.LEAST = tasks.BYTES = 20_000
print(run(
    model, "rows", "all.parquet", column="frames", keep=["id"], bad="skip", output="all", progress=counts.append,
))
print(len(counts))
"""


@needs_ray
def test_no_rows_and_every_step_in_several_messages(rows):
    done = run_python("import cgru\n" + SMALL, environment=ENVIRONMENT).stdout.split()
    for name in ("of-empty.parquet", "of-groups.parquet"):
        assert read(name).num_rows == 0 and read(name).schema.names == ["y", "id"]
    cgru.batch.write(rows, "rows", "local.parquet", column="frames", keep=["id"], bad="skip", output="all")
    assert read("all.parquet").equals(read("local.parquet"))
    messages = read("local.parquet").nbytes // 20_000
    assert done[:3] == ["0", "0", "2998"] and messages > 5 and int(done[3]) >= messages
