"""bench/compare.py: what became slower, out of constructed records and those that are kept."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

import cgru
from bench import compare, keep
from bench.common import environment, kept, runs, verdicts
from bench.common.runs import Figure

CPU = "AMD EPYC (family 25, model 17)"


def record(**times):
    """A record of bench/speed, of two points: microseconds of contestants, quartiles 2 % below and 3 % above."""
    times = {name.replace("_", " "): us for name, us in times.items()}
    times = {"cgru packed": 2, "ONNX Runtime": 8, "C panels": 1.5} | times
    contestants = {
        name: {"median": 1000 * us, "p25": 980 * us, "p75": 1030 * us, "spread": 0.05}
        for name, us in times.items()
        if us
    }
    points = [
        {"key": f"gru-T1-N1-I{H}-H{H}", "cell": "gru", "contestants": copy.deepcopy(contestants),
         "limit": {"ns": 1000, "inputs_ns": 0}}
        for H in (32, 64)
    ]  # fmt: skip
    return {
        "date": "2026-11-30T00:00:00+00:00", "quick": False, "suite": None, "weights": False, "budget_s": 0.25,
        "isa": {"name": "x86-64-v4"}, "machine": {"cpu": CPU, "cores": 2, "threads": 1, "commit": "abc1234"},
        "compiler": "cc 12", "points": points, "extras": {},
        "contestants": {"cgru packed": "0.2.0", "ONNX Runtime": "1.32.0, onnx 1.23.2", "C panels": "cc 12; -O3"},
    }  # fmt: skip


@pytest.fixture
def compared(tmp_path, capsys):
    """A function from two records and options to (exit status, what was printed)."""

    def run(before, now, *options):
        for name, found in (("before", before), ("now", now)):
            (tmp_path / f"{name}.json").write_text(json.dumps(found))
        status = compare.main([str(tmp_path / "before.json"), str(tmp_path / "now.json"), *options])
        return status, capsys.readouterr().out

    return run


def test_the_same(compared):
    status, said = compared(record(), record())
    assert status == 0 and "0 slower, 0 faster, 2 within noise" in said
    assert "speed, AMD EPYC (family 25, model 17): cgru 0.2.0 of 2026-11-30 (abc1234), then cgru 0.2.0" in said
    assert "differs" not in said


def test_slower_and_faster_the_worst_first(compared):
    now = record(cgru_packed=2.5)
    now["points"][0]["contestants"]["cgru packed"].update(median=3000, p25=2950, p75=3080)
    status, said = compared(record(), now)
    assert status == 1 and "2 slower, 0 faster" in said
    assert said.index("H32, cgru packed") < said.index("H64, cgru packed")
    assert compared(now, record())[0] == 0 and "0 slower, 2 faster" in compared(now, record())[1]


def test_what_is_within_the_quartiles_or_the_floor_is_no_news(compared):
    assert compared(record(), record(cgru_packed=2 * 1.16))[0] == 0  # 3 % of either, 6 % of the peers, and 5 %
    assert compared(record(), record(cgru_packed=2 * 1.18))[0] == 1
    wide = record(cgru_packed=2 * 1.18)
    for point in wide["points"]:
        point["contestants"]["cgru packed"]["p75"] *= 1.2
    assert compared(record(), wide)[0] == 0


def test_a_slower_machine_is_not_slower_code(compared):
    """And on a faster machine slower code is shown, but cannot be told from peers that had bad luck."""
    slow = record(cgru_packed=3, ONNX_Runtime=12, C_panels=2.25)
    status, said = compared(record(), slow)
    assert status == 0 and "+50.0%" in said
    both = record(cgru_packed=4.5, ONNX_Runtime=12, C_panels=2.25)
    status, said = compared(record(), both)
    assert status == 1 and "+125.0%" in said
    assert compared(record(), record(cgru_packed=2, ONNX_Runtime=6, C_panels=1.1))[0] == 0


def test_one_peer_that_changed_does_not_move_the_others(compared):
    assert compared(record(), record(cgru_packed=3, ONNX_Runtime=20))[0] == 1
    newer = record(cgru_packed=3, ONNX_Runtime=12, C_panels=None)
    for point in newer["points"]:
        del point["limit"]
    assert compared(record(), newer)[0] == 0  # ONNX Runtime is the one yardstick
    newer["contestants"]["ONNX Runtime"] = "2.0"  # which is another one now
    status, said = compared(record(), newer)
    assert status == 0 and "no yardstick is in both" in said and "slower?" in said and "2 not judged" in said


def test_points_that_only_one_run_has(compared):
    now = record()
    now["points"][1]["key"] = "gru-T1-N1-I99-H99"
    now["points"][0]["contestants"]["OpenVINO"] = now["points"][0]["contestants"]["ONNX Runtime"]
    status, said = compared(record(), now)
    assert status == 0 and "1 within noise" in said
    assert "only then: 1, such as gru-T1-N1-I64-H64" in said
    assert "only now: 2, such as gru-T1-N1-I32-H32, OpenVINO; gru-T1-N1-I99-H99" in said
    for point in now["points"]:
        point["key"] += "0"
    assert compared(record(), now)[0] == 2


def test_another_cpu_is_refused(compared):
    now = record(cgru_packed=9)
    now["machine"]["cpu"] = "AMD EPYC (family 26, model 2)"
    status, said = compared(record(), now)
    assert status == 2
    assert said.startswith("nothing to compare, since no experiment was run on the same CPU model: speed on AMD EPYC")
    status, said = compared(record(), now, "--anyway")
    assert status == 0 and "(family 25, model 17), THEN AMD EPYC (family 26, model 2)" in said
    assert "slower" not in said and said.endswith("nothing is judged: --anyway\n")


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"budget_s": 0.1}, 0, "the method differs: budget_s 0.25, then 0.1"),
        ({"isa": {"name": "x86-64-v3"}}, 0, "the method differs: isa x86-64-v4, then x86-64-v3"),
        ({"quick": True}, 2, "not compared, since the method differs: quick False, then True"),
    ],
)
def test_another_method_is_said(compared, change, status, said):
    found, text = compared(record(), record() | change)
    assert found == status and said in text


def test_limits_of_another_form_are_no_yardstick():
    old = record()
    for point in old["points"]:
        del point["limit"]["inputs_ns"]
    both = verdicts.yardsticks(runs.read(record()), runs.read(record()))
    assert both == {"ONNX Runtime", "C panels", "limit"}
    assert verdicts.yardsticks(runs.read(old), runs.read(record())) == both - {"limit"}


def test_a_peer_of_another_version_or_of_none_is_no_yardstick():
    run = runs.read(record())
    both = verdicts.yardsticks(run, run)
    for versions in ({"ONNX Runtime": "1.33.0"}, {"ONNX Runtime": ""}):
        other = run._replace(versions=run.versions | versions)
        assert verdicts.yardsticks(run, other) == both - {"ONNX Runtime"}
    assert verdicts.version(run, "ONNX Runtime, 2 cores") == "1.32.0"  # one way of that peer
    assert verdicts.version(run, "RTNeural, Eigen") is None


def test_without_git_a_revision_is_no_source(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="no file, no REVISION:path, and no release"):
        compare.runs_of("HEAD:setup.py")


def test_sources_that_are_none(tmp_path):
    for text, said in (("{", "is not JSON"), ("{}", "has no times of points")):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(SystemExit, match=said):
            compare.runs_of(str(tmp_path))
    with pytest.raises(SystemExit, match=r"no file, no REVISION:path, and no release: 0\.1\.0"):
        compare.runs_of("7.8.9")


def test_every_record_is_read():
    """All but those without times of points: the counts, and the errors of the adding problem."""
    found = {path.relative_to(kept.BENCH).parts[0] for path, _ in kept.records()}
    folders = {path.relative_to(kept.BENCH).parts[0] for path in kept.BENCH.glob("*/results/**/results.json")}
    assert folders - found <= {"adding", "instructions", "silence"}
    assert found >= {"speed", "training", "scale", "c", "audio", "spelling"}


def test_the_picture(compared, tmp_path):
    pytest.importorskip("matplotlib")
    assert compared(record(), record(cgru_packed=3), "--plot", str(tmp_path / "points.png"))[0] == 1
    assert (tmp_path / "points.png").stat().st_size > 5000


def test_the_script_says_what_it_is():
    done = subprocess.run(
        [sys.executable, str(kept.BENCH / "compare.py"), "now", "now"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and " 0 slower, 0 faster" in done.stdout, done.stderr


# ---- what is kept


FILES = sorted(kept.RELEASES.glob("*/*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_form_of_what_is_kept(path):
    text = path.read_text(encoding="utf-8")
    version, found = kept.of_text(text)
    assert version == path.parent.name and found and path.stat().st_size < 150_000
    for run in found:
        assert path.name == f"{environment.folder_name(run.cpu)}.json"
        assert kept.release_of(run.cgru) == version and run.commit and run.points
        assert run.experiment.partition("/")[0] in runs.READERS
        for contestants in run.points.values():
            assert all(0 < one.low <= one.median <= one.high for one in contestants.values())
    assert kept.to_json(version, found) == text


def test_releases_that_there_are():
    """A release that main has had stays, and the version that is tested is kept or is yet to be."""
    versions = {path.parent.name for path in FILES}
    assert versions >= {"0.1.0", "0.2.0"}
    numbers = {tuple(map(int, version.split("."))) for version in versions}
    assert max(numbers) <= tuple(map(int, kept.release_of(cgru.__version__).split(".")))


def test_keeping(tmp_path, monkeypatch):
    found = {CPU: runs.read(record()), "Another (family 1)": runs.read(record())._replace(cpu="Another (family 1)")}
    old = runs.read(record())._replace(experiment="c", cgru="0.1.0")
    records = [*found.values(), old]
    monkeypatch.setattr(kept, "records", lambda: [(kept.BENCH / "c" / "results.json", run) for run in records])
    said = list(keep.keep("0.2.0", "0.2.0", tmp_path))
    assert said[0].startswith("left out, of cgru 0.1.0: bench") and len(said) == 3
    path = kept.path_of("0.2.0", CPU, tmp_path)
    assert kept.of_text(path.read_text()) == ("0.2.0", [found[CPU]])
    records[:] = [found[CPU]._replace(experiment="speed/weights", cgru="0.2.0.dev0")]
    list(keep.keep("0.2.0", "0.2.0.dev0", tmp_path))
    assert [run.experiment for run in kept.of_text(path.read_text())[1]] == ["speed", "speed/weights"]
    with pytest.raises(FileExistsError, match=r"earlier version than 0\.3\.0\.dev0, and is not made again"):
        list(keep.keep("0.2.0", "0.3.0.dev0", tmp_path))


def test_four_digits():
    assert [kept.digits(value) for value in (123456.7, 0.00123456, 85.3, 4.0)] == [123500, 0.001235, 85.3, 4]
    run = runs.read(record())
    run = run._replace(points={"a": {"cgru": Figure(1.23456, 1.2, 1.3)}, "b": {"limit": Figure(1, 1, 1)}})
    (back,) = kept.of_text(kept.to_json("0.2.0", [run]))[1]
    assert back.points == {"a": {"cgru": Figure(1.235, 1.2, 1.3)}, "b": {"limit": Figure(1, 1, 1)}}


def test_the_commit_is_recorded(monkeypatch):
    if not (Path(environment.__file__).parents[2] / ".git").exists():
        pytest.skip("no clone")
    assert len(environment.commit().rstrip("+")) == 7
    monkeypatch.setenv("PATH", "")
    assert environment.commit() is None
