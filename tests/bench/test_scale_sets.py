"""The benchmark of sets: its data, who goes over them, memory."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from bench.common.contestant import Absent
from bench.scale import goals, report, sets, sets_contestants, sets_data, sets_peers
from bench.scale.sets_child import Child, memory
from bench.scale.sets_contestants import CGRU, ORT, PACKED, PADDED, RAY, READ, Contestant
from support import reference
from support.peers import peer

LIBRARIES = {ORT: "onnxruntime", PADDED: "torch", PACKED: "torch", RAY: "ray"}


@pytest.fixture
def made(tmp_path):
    """A set of 10 files with 3 rows each."""
    peer("pyarrow")
    return sets_data.make(tmp_path / "set", 33)


def needs(kind):
    if kind in LIBRARIES:
        peer(LIBRARIES[kind])
    if kind == CGRU:
        peer("pyarrow")


# ---- the set


def test_a_set_is_in_its_files(made):
    from pyarrow import parquet

    assert (made.files, made.rows, len(made)) == (10, 3, 30)
    column = parquet.read_table(made.folder)["frames"].to_pylist()
    sequences = list(made.sequences(range(30)))
    assert len(column) == 30 and len({len(x) for x in sequences}) > 10
    for found, x in zip(column, sequences, strict=True):
        assert x.shape[1] == sets_data.I and 20 <= len(x) <= 200 and x.dtype == np.float32
        assert_array_equal(np.array(found, np.float32), x)


def test_lengths_are_spread_from_end_to_end():
    lengths = sets_data.Sequences(3, 5000).lengths
    assert (lengths.min(), lengths.max()) == (20, 200) and abs(lengths.mean() - 110) < 3


def test_linked_sets_go_round(made, tmp_path):
    from pyarrow import parquet

    linked = made.linked(tmp_path / "more", 12)
    column = parquet.read_table(linked.folder)["frames"].to_pylist()
    assert len(column) == len(linked) == 36 and column[30:] == column[:6]
    *_, last = linked.sequences([2, 34, 35])
    assert_array_equal(last, np.array(column[35], np.float32))
    fewer = made.linked(tmp_path / "fewer", 2)
    assert [file.name for file in sorted(fewer.folder.iterdir())] == ["part-00000.parquet", "part-00001.parquet"]


@pytest.mark.parametrize(("count", "expected"), [(4, [0, 9, 19, 29]), (100, list(range(30)))])
def test_samples_reach_from_the_first_row_to_the_last(count, expected):
    assert sets_data.Set("nowhere", 10, 3).sample(count).tolist() == expected


def test_expected_is_the_oracle_s():
    sequences = [sets_data.Sequences(1, 2).row(row) for row in range(2)]
    last = [reference.gru(x[:, None], sets_data.state())[0][-1, 0] for x in sequences]
    assert_allclose(sets_data.expected(sequences), last, atol=1e-13)


@pytest.mark.parametrize("kind", [PADDED, PACKED, ORT, CGRU])
def test_contestants_of_sets_are_right(made, tmp_path, monkeypatch, kind):
    needs(kind)
    monkeypatch.setattr(sets_peers, "BATCHES", (2, 4))
    call = sets_contestants.make(Contestant(kind, 1))
    if kind != CGRU:
        ways = call.prepare(made.folder)
        assert set(ways) == {"batches of 2", "batches of 4"} and f"batches of {call.batch}" == min(ways, key=ways.get)
        call.batch = 2  # the last batch of a file is a short one
    call(made.folder, tmp_path / "y.parquet")
    count, y = sets_data.results_of(tmp_path / "y.parquet", np.arange(30))
    assert count == 30
    assert_allclose(y, sets_data.expected(made.sequences(range(30))), atol=sets.TOLERANCE)


def test_files_are_read_ahead_in_order():
    assert list(sets_peers._ahead(lambda item: 2 * item, range(5))) == [0, 2, 4, 6, 8]
    assert list(sets_peers._ahead(str, [7])) == ["7"]


class Scripted:
    """As much of a Child as `Jobs` sees; writes y of a set, changed."""

    def __init__(self, kind, change):
        self.entry, self._change = Contestant(kind, 1), change

    def run(self, source, path, tiny):
        import pyarrow as pa
        from pyarrow import parquet

        assert Path(tiny).is_dir()
        files = sorted(source.iterdir())
        rows = [x for number, _ in enumerate(files) for x in map(sets_data.Sequences(number, 3).row, range(3))]
        model = cgru.GRU.from_state_dict(sets_data.state())
        y = self._change(np.array([model(x)[0][-1] for x in rows]))
        column = pa.FixedSizeListArray.from_arrays(pa.array(y.reshape(-1)), sets_data.H)
        parquet.write_table(pa.table({"y": column}), path)
        return {"seconds": 1.0}


def nudged(y):
    return np.nextafter(y, np.float32(2))


@pytest.mark.parametrize(
    ("kind", "change", "error"),
    [
        (CGRU, np.copy, None),
        (PADDED, nudged, None),  # not cgru's bits, but right
        (PADDED, lambda y: y + np.float32(1e-4), "differs from the truth by 1.0e-04"),
        (PADDED, lambda y: y * np.nan, "differs from the truth by nan"),
        (PACKED, lambda y: y[::-1].copy(), "differs from the truth"),
        (ORT, lambda y: y[:-1], "29 results of 30 rows"),
        (CGRU, nudged, "other bits than model"),
        (RAY, nudged, "other bits than model"),
    ],
)
def test_a_wrong_contestant_is_not_timed(made, tmp_path, kind, change, error):
    jobs = sets.Jobs(made, tmp_path)
    if error is None:
        assert jobs.run(Scripted(kind, change), 10) == {"seconds": 1.0}
        assert jobs.run(Scripted(kind, change), 4) == {"seconds": 1.0}
    else:
        with pytest.raises(SystemExit, match=error):
            jobs.run(Scripted(kind, change), 10)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound here")
def test_a_child_is_bound_and_ray_where_that_is_asked_for(made):
    with Child(Contestant(READ, 1), made.folder) as child:
        assert child.ready["cpus"] == 1
    peer("ray")
    for bound, cpus in ((False, sets_contestants.cores()), (True, 1)):
        with Child(Contestant(RAY, 1), made.folder, bound) as child:
            assert child.ready["cpus"] == cpus


def test_a_job_of_a_row_is_one_file(made, tmp_path):
    jobs = sets.Jobs(made, tmp_path)
    assert (jobs.tiny.files, len(jobs.tiny), len([*jobs.tiny.folder.iterdir()])) == (1, 1, 1)


def test_a_answers_with_its_own_memory(made, tmp_path):
    with Child(Contestant(READ, 1), made.folder) as child:
        first, second = (child.run(made.folder, tmp_path / "none", made.folder) for _ in range(2))
    assert first["seconds"] > 0 and first["cpu_s"] >= 0
    if memory("VmHWM") is not None:
        assert child.ready["resident"] <= first["peak"] <= second["peak"] < 1 << 30


def test_the_memory_of_the_parent_is_not_the_child_s(made, tmp_path):
    if memory("VmHWM") is None:
        pytest.skip("this system does not tell")
    before = np.ones(100_000_000, np.float32)
    assert memory("VmRSS") > before.nbytes
    with Child(Contestant(READ, 1), made.folder) as child:
        assert child.run(made.folder, tmp_path / "none", made.folder)["peak"] < before.nbytes


def test_a_child_that_fails_says_why(made, tmp_path):
    with pytest.raises(SystemExit, match=r"(?s)nobody, 1 core failed:.*KeyError"):
        Child(Contestant("nobody", 1), made.folder)
    with Child(Contestant(READ, 1), made.folder) as child, pytest.raises(SystemExit, match="No such file"):
        (made.folder / "part-00000.parquet").unlink()
        (made.folder / "part-00000.parquet").symlink_to(tmp_path / "nowhere")
        child.run(made.folder, tmp_path / "none", made.folder)


def test_an_absent_contestant_is_left_out(made, tmp_path, monkeypatch):
    def child(entry, source, bound):
        if entry.kind == ORT:
            raise Absent("no such package")
        return Child(entry, source, bound)

    monkeypatch.setattr(sets, "Child", child)
    found = sets.throughput(sets.Jobs(made, tmp_path), [Contestant(ORT, 1), Contestant(READ, 1)], 2)
    assert found["absent"] == {"ONNX Runtime, 1 core": "no such package"}
    ((name, one),) = found["contestants"].items()
    assert name == "reading alone, 1 core" and len(one["seconds"]) == 2
    assert one["rows_per_s"] == pytest.approx(30 / np.median(one["seconds"]))


class Remembering:
    """As much of a Child as `peaks` sees: an answer for each number of files."""

    def __init__(self, entry, source, bound):
        self.ready = {"resident": 60}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize(("of", "before"), [({}, [60, 60]), ({"before": 80}, [80, 80])])
def test_memory_is_of_few_and_of_many_rows(made, monkeypatch, of, before):
    monkeypatch.setattr(sets, "Child", Remembering)
    jobs = SimpleNamespace(base=made, of=lambda files: range(3 * files))
    jobs.run = lambda child, files: {"peak": 100 + files} | of
    mine = sets.peaks(jobs, Contestant(CGRU, 2))
    assert mine == {"contestant": "cgru, 2 cores", "before": before, "peak": [102, 120]}
    found = sets.memory(jobs, {"cgru on Ray, 1 worker": {}})
    assert found["rows"] == [6, 60] and found["local"]["peak"] == [102, 120]
    assert found["ray"]["contestant"] == "cgru on Ray, 1 worker" and sets.memory(jobs, {})["ray"] is None
    assert goals.growth(mine) == 120 / 102 and goals.growth_of_rest(mine) == (120 - before[0]) / (102 - before[0])
    assert f"{goals.growth_of_rest(mine):.3f} times" in report._memory(mine, found["rows"])
    jobs.run = lambda child, files: {"peak": None}
    assert sets.peaks(jobs, Contestant(CGRU, 2)) is None


def test_starting_is_apart():
    ready = {"resident": 5, "cpus": 2, "ways": {}}
    answers = [
        {"seconds": 12.0, "start_s": 2.0, "init_s": 9.0, "cpu_s": 1.0, "cpu": {"raylet": 3.0}, "peak": 8},
        {"seconds": 11.5, "start_s": 3.5, "init_s": 7.0, "cpu_s": 2.0, "cpu": {"raylet": 4.0}, "peak": 9},
    ]
    found = sets.summary(Contestant(RAY, 2), ready, answers, 90)
    assert found["seconds"] == [10, 8] and found["rows_per_s"] == 10 and found["peak"] == 9
    assert found["init_s"] == [9, 7] and found["cpu"] == [{"raylet": 3.0}, {"raylet": 4.0}]


@pytest.mark.parametrize(
    ("available", "of_cgru", "of_peers"), [(1, [1], [1]), (2, [1, 2], [1, 2]), (8, [1, 2, 8], [1, 8])]
)
def test_who_takes_part(available, of_cgru, of_peers):
    found = sets_contestants.entries(available)
    assert [entry.cores for entry in found if entry.kind == CGRU] == of_cgru
    for kind in (PADDED, PACKED, ORT):
        assert [entry.cores for entry in found if entry.kind == kind] == of_peers
    assert len({entry.name for entry in found}) == len(found)


def test_some_are_left_out():
    names = [entry.name for entry in sets.chosen(" ray, PyTorch,")]
    assert names == [entry.name for entry in sets.chosen("") if "Ray" not in entry.name and "PyTorch" not in entry.name]
    assert "ONNX Runtime, 1 core" in names


def test_processes_below_are_counted(tmp_path):
    from bench.scale.sets_ray import Processes

    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("this system does not tell")
    script = tmp_path / "busy.py"
    script.write_text(
        "import time; a = bytearray(b'x') * 60_000_000; end = time.process_time() + 0.5\n"
        "while time.process_time() < end: pass\n"
        "input()"
    )
    with Processes() as processes:
        child = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE)
        try:
            while processes.cpu().get("busy.py", 0) < 0.4:
                assert child.poll() is None
            processes._look()
        finally:
            child.communicate(b"\n")
    assert 0.4 <= processes.cpu()["busy.py"] < 3
    assert processes.peak > 60_000_000


def test_a_job_on_ray(made, tmp_path):
    peer("ray")
    jobs = sets.Jobs(made, tmp_path)
    with Child(Contestant(RAY, 1), made.folder) as child:
        answer = jobs.run(child, 10)
        found = sets.summary(child.entry, child.ready, [answer], 30)
    ((seconds,), (init,), (start,)) = (found[key] for key in ("seconds", "init_s", "start_s"))
    assert init > start > 0 and seconds < init
    if Path("/proc/self/smaps_rollup").exists():
        assert "raylet" in found["cpu"][0] and found["peak"] > 1e8
        assert 1e8 < answer["before"] <= found["peak"]
