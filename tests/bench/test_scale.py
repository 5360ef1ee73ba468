"""Many at once: the verdicts and the command. The parts have tests of their own."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.scale import goals, report
from bench.scale import run as scale
from support.peers import peer

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
