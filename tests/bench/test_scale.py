"""Many at once: the sets and who goes over them, the pools, the threads, the verdicts, the command."""

import json
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
from bench.scale import goals, pools, pools_contestants, report, sets, sets_contestants, sets_data, sets_peers, threads
from bench.scale import run as scale
from bench.scale.sets_child import Child, memory
from bench.scale.sets_contestants import CGRU, ORT, PACKED, PADDED, RAY, READ, Contestant
from cgru.judge.points import Point
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


# ---- sets


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


# ---- pools


@pytest.fixture
def options():
    return SimpleNamespace(tick_ms=1.0, ticks=20, confirm=40, budget=0.002)


@pytest.mark.parametrize("name", pools_contestants.WAYS)
@pytest.mark.parametrize("layers", [1, 2])
def test_ways_of_pools_are_right(name, layers):
    if name == pools_contestants.ORT:
        peer("onnxruntime")
        peer("onnx")
    pools.check(name, 12, layers)


def test_a_wrong_way_is_not_timed(monkeypatch):
    class Wrong(pools_contestants.Batch):
        def y(self, M):
            return super().y(M) + np.float32(1e-4)

    monkeypatch.setitem(pools_contestants.WAYS, "wrong", Wrong)
    with pytest.raises(SystemExit, match=r"wrong, H=12: differs from the truth by 1\.0e-04"):
        pools.check("wrong", 12)


def cost_of(ms_each, fixed=0.0, slow=()):
    """Stands for `timed`: a tick is the number of streams, which takes so long for each, and some ticks are slow."""

    def timed(M, count):
        ticks = np.full(count, fixed + ms_each * M)
        ticks[[at for at in slow if at < count]] *= 3
        return ticks

    return timed


@pytest.mark.parametrize(("ms_each", "most"), [(1e-4, 10_000), (0.003, 333), (0.02, 50), (0.6, 1), (7, 1)])
def test_the_search_ends_just_below_the_limit(monkeypatch, options, ms_each, most):
    monkeypatch.setattr(pools, "timed", cost_of(ms_each))
    monkeypatch.setattr(pools, "Problem", lambda H, M: M)
    monkeypatch.setattr(pools, "WAYS", {"way": lambda M: SimpleNamespace(tick=lambda _: M)})
    found = pools.search("way", 32, options)
    assert most / pools.CLOSE - 1 <= found <= most


def test_a_number_that_does_not_hold_is_lowered(monkeypatch, options):
    monkeypatch.setattr(pools, "timed", lambda M, count: np.full(count, 0.01 * M))
    monkeypatch.setattr(pools, "Problem", lambda H, M: M)
    monkeypatch.setattr(pools, "WAYS", {"way": lambda _: SimpleNamespace(tick=lambda M: M)})
    monkeypatch.setattr(pools, "check", lambda name, H: None)
    monkeypatch.setattr(pools, "search", lambda name, H, options: 130)
    found = pools.size(32, options, {})["ways"]["way"]
    assert 90 <= found["streams"] < 100 and found["held"] and found["p99_ms"] < 1
    monkeypatch.setattr(pools, "timed", lambda M, count: np.full(count, 5.0))
    found = pools.size(32, options, {})["ways"]["way"]
    assert found["streams"] == 1 and not found["held"]


def test_p99_is_of_a_tick_that_was():
    ticks = np.arange(1000.0)
    assert pools.percentile(ticks) == 990 and pools.percentile(ticks, 95) == 950 and pools.percentile(ticks[:30]) == 29


def test_cost_of_a_step(monkeypatch):
    monkeypatch.setattr(pools, "COST_M", (3, 5))
    found = pools.cost(0.002)
    assert set(found["M"]) == {"3", "5"}
    at, single = found["M"]["5"], found["single"]
    assert at["ratio"] == at["pool"]["median"] / at["batch"]["median"]
    assert single["over_ns"] == single["pool"]["median"] - single["stream"]["median"]


def test_other_bits_are_not_timed():
    runners = {name: SimpleNamespace(result=lambda y=y: np.float32(y)) for name, y in (("a", [1, 2]), ("b", [1, 3]))}
    with pytest.raises(SystemExit, match="b gives other bits than a"):
        pools.same_bits(runners)


# ---- threads


def test_threads_give_the_same_bits(monkeypatch):
    found = threads.compare(Point(40, 1, 5, 8, directions=2), 0.002)
    assert found["same_bits"] is True and found["point"] == "gru-T40-N1-I5-H8-L1-D2"
    assert found["speedup"] == found["one"]["median"] / found["two"]["median"]


# ---- goals


def of_sets(**changes):
    """A part that just meets every goal."""
    seconds = {
        "cgru, 1 core": [3.5, 3.6],
        "cgru, 2 cores": [2.0, 2.0],
        "PyTorch, padded, 1 core": [10.7, 10.8],
        "PyTorch, packed, 1 core": [20.0, 20.0],
    } | changes.pop("seconds", {})
    minute = {"local": {"seconds": [60, 61]}, "ray": {"seconds": [75, 76]}}
    return {
        "contestants": {name: {"seconds": values} for name, values in seconds.items()},
        "minute": {"local": "local", "ray": "ray", "contestants": minute},
        "memory": {"local": {"peak": [100, 110]}, "ray": None},
    } | changes


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, [True, True, True, True]),
        ({"seconds": {"cgru, 2 cores": [2.1, 2.1]}}, [False, True, True, True]),
        ({"seconds": {"PyTorch, packed, 1 core": [10.4, 10.7]}}, [True, False, True, True]),
        ({"minute": None}, [True, True, None, True]),
        ({"memory": {"local": {"peak": [100, 111]}}}, [True, True, True, False]),
        ({"memory": {"local": None}}, [True, True, True, None]),
    ],
)
def test_goals_of_sets(changes, met):
    assert [goal["met"] for goal in goals.sets(of_sets(**changes))] == met


def test_what_a_job_of_a_row_takes_is_told_apart():
    minute = of_sets()["minute"]
    minute["contestants"]["ray"]["start_s"] = [6, 9.4]
    assert goals.ray(minute) == np.median([75 / 60, 76 / 61])
    assert goals.ray_whole(minute) == pytest.approx(np.median([81 / 60, 85.4 / 61]))
    minute["rows"] = 7
    for one in minute["contestants"].values():
        one |= {"kind": "", "cores": 2, "cpus": 2, "rows_per_s": 1, "cpu_s": 1, "peak": 8, "resident": 5, "ways": {}}
    minute["contestants"]["ray"] |= {"init_s": [9, 9], "cpu": [{"raylet": 1.0}] * 2}
    assert "Ray's time over the local run's: 1.248; with what a job of a row takes, 1.375" in report._minute(minute)


def test_ratios_are_of_the_same_round():
    seconds = {"cgru, 1 core": [2, 20, 3], "cgru, 2 cores": [1, 10, 2]}
    found = of_sets(seconds=seconds)
    assert goals.times(found["contestants"], "cgru, 1 core", "cgru, 2 cores") == 2
    assert goals.times(found["contestants"], "cgru, 1 core", "cgru, 64 cores") is None


def test_no_verdict_without_a_contestant():
    found = of_sets()
    del found["contestants"]["cgru, 1 core"]
    assert [goal["met"] for goal in goals.sets(found)] == [None, None, True, True]
    found = of_sets()
    for kind in ("packed", "padded"):  # without the slower one it is not known which is the better
        del found["contestants"][f"PyTorch, {kind}, 1 core"]
        assert [goal["met"] for goal in goals.sets(found)] == [True, None, True, True]


@pytest.mark.parametrize(
    ("ratios", "over", "met"),
    [
        ((1.15, 1.0), 300, [True, True, True]),
        ((1.16, 1.1), 290, [False, True, True]),
        ((1.0, 1.2), 301, [True, False, False]),
    ],
)
def test_goals_of_pools(ratios, over, met):
    cost = {"M": {M: {"ratio": ratio} for M, ratio in zip(("32", "500"), ratios, strict=True)}}
    cost["single"] = {"over_ns": over}
    assert [goal["met"] for goal in goals.pools({"cost": cost})] == met


@pytest.mark.parametrize(
    ("speedups", "same", "cores", "met"),
    [
        ((1.7, 1.6, 1.8), True, 2, [True, True, True]),
        ((1.69, 1.61, 1.79), True, 2, [False, True, False]),
        ((1.9, 1.9, 1.9), False, 2, [False, False, False]),
        ((1.0, 1.0, 1.0), True, 1, [None, None, None]),
    ],
)
def test_goals_of_threads(speedups, same, cores, met):
    shapes = {
        name: {"speedup": speedup, "same_bits": same} for name, speedup in zip(goals.THREADS, speedups, strict=True)
    }
    assert [goal["met"] for goal in goals.threads({"shapes": shapes, "cores": cores})] == met


# ---- command


def test_command(tmp_path, capsys, monkeypatch):
    """Every part of the parts here at tiny sizes, in processes of their own; then one of them again."""
    peer("pyarrow")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # PyTorch's threads do not spin where others run too
    sizes = ["--quick", "--rows", "40", "--tick-ms", "0.2", "--without", "ray,2 cores", "--output", str(tmp_path)]
    assert scale.main(["--parts", "sets,pools,threads", *sizes]) == 0
    output = capsys.readouterr().out
    first = json.loads((tmp_path / "results.json").read_text())
    assert set(first["parts"]) == {"sets", "pools", "threads"} and len(first["goals"]) == 4 + 3 + 3
    assert first["parts"]["sets"]["rows"] == 40 and set(first["parts"]["pools"]["sizes"]) == {"32", "64", "128", "256"}
    for name in [*first["parts"]["sets"]["contestants"], "cgru, one by one", "bidirectional"]:
        assert name in output
    for name in ("sets", "pools"):
        if "no pictures" not in output:
            assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    assert scale.main(["--parts", "threads", *sizes]) == 0
    second = json.loads((tmp_path / "results.json").read_text())
    assert second["parts"]["sets"] == first["parts"]["sets"]
    assert second["parts"]["threads"] != first["parts"]["threads"]
    assert scale.main(["--report", str(tmp_path)]) == int(any(goal["met"] is False for goal in second["goals"]))
    assert "== sets" in capsys.readouterr().out


def test_windows_are_a_part(tmp_path, capsys, monkeypatch):
    """What windows.py writes, result and picture, goes into the one file; a part that fails is told and left out."""
    script = (
        "import json, pathlib, sys; folder = pathlib.Path(sys.argv[1]); (folder / 'windows.png').write_bytes(b'png'); "
        "goals = [{'goal': 'g', 'figure': 2, 'at_most': 1, 'met': False}]; "
        "(folder / 'results.json').write_text(json.dumps({'date': 'today', 'goals': goals}))"
    )
    commands = {"windows": script, "threads": "print('out of threads'); raise SystemExit(1)"}
    monkeypatch.setattr(scale, "command", lambda name, _, folder: [sys.executable, "-c", commands[name], folder])
    monkeypatch.setattr(report, "windows", lambda part: [f"windows of {part['date']}"])
    assert scale.main(["--parts", "windows,threads", "--output", str(tmp_path)]) == 1
    output = capsys.readouterr().out
    assert "windows of today" in output and "part threads FAILED: out of threads" in output
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found["parts"]) == {"windows"} and found["goals"][0]["met"] is False
    assert (tmp_path / "windows.png").read_bytes() == b"png"
    assert scale.main(["--parts", "windows", "--isa", "x86-64-v3", "--output", str(tmp_path)]) == 1
    assert "== windows-x86-64-v3, today\nwindows of today" in capsys.readouterr().out
    found = json.loads((tmp_path / "results.json").read_text())
    assert [goal["part"] for goal in found["goals"]] == list(found["parts"]) == ["windows", "windows-x86-64-v3"]
    assert (tmp_path / "windows-x86-64-v3.png").read_bytes() == b"png"
    assert scale.main(["--parts", "threads", "--output", str(tmp_path / "new")]) == 1
    assert not (tmp_path / "new").exists()


def test_a_missed_goal_is_a_status_of_1(monkeypatch, capsys):
    part = {"date": "today", "goals": [{"goal": "g", "figure": 2, "at_most": 1, "met": False}]}
    monkeypatch.setattr(scale, "run", lambda options, before: ({"parts": {"windows": part}}, [], {}))
    monkeypatch.setattr(report, "windows", lambda part: [])
    assert scale.main([]) == 1 and scale.main(["--quick"]) == 0
    part["goals"][0]["met"] = True
    assert scale.main([]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--parts", "sets,clouds"], "no part 'clouds'; there are windows, sets, pools, threads"),
        (["--quick", "--record"], "it does not go with --quick"),
        (["--rows", "5", "--record"], "it does not go with --rows"),
        (["--without", "ray", "--record"], "it does not go with --without"),
        (["--isa", "x86-64-v3"], "--isa x86-64-v3 goes with --parts windows only"),
        (["--tick-ms", "0"], "--tick-ms must be above 0, got 0.0"),
        (["--minute", "-1"], "--minute must be at least 0, got -1.0"),
        (["--report", "nowhere"], "there is no results.json in it"),
    ],
)
def test_bad_arguments(arguments, words, capsys):
    with pytest.raises(SystemExit):
        scale.arguments(arguments)
    assert words in capsys.readouterr().err


def test_parts_keep_their_order_and_get_their_sizes(tmp_path):
    options = scale.arguments(
        ["--parts", "threads, sets", "--rows", "7", "--quick", "--without", "ray,2 cores", "--output", str(tmp_path)]
    )
    assert options.parts == ["sets", "threads"]
    words = scale.command("sets", options, "there")
    again = scale.arguments(words[2:])
    assert (again.part, again.rows, again.minute, again.tick_ms, again.output) == ("sets", 7, 0, 0.5, Path("there"))
    assert again.without == "ray,2 cores"
    windows = scale.command("windows", options, "there")
    assert Path(windows[1]).name == "windows.py" and "--shapes" in windows and "--isa" not in windows
    options = scale.arguments(["--parts", "windows", "--isa", "x86-64-v3"])
    assert scale.command("windows", options, "there")[2:] == ["--output", "there", "--isa", "x86-64-v3"]
