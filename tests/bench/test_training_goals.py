"""The training benchmark: the verdicts, the report, the picture of the limit, the command."""

import json
import os

import pytest

from bench.training import goals, memory, report
from bench.training import run as training
from support.peers import peer

# ---- goals


def point(H, N, cell="gru", limit=10.0, **who):
    """A point; of everybody (one thread, two threads), median over PyTorch's limit and growth of memory."""
    return {
        "key": f"{cell}-{H}-{N}", "cell": cell, "T": 100, "N": N, "I": H, "H": H,
        "gflops": {"1": 100.0, "2": 200.0}, "limit_ns": {"1": limit, "2": limit / 2},
        "contestants": {
            name: {
                threads: {"median": value, "spread": 0.1, "memory": {"growth": grown, "peak": 9}}
                for threads, value in zip("12", values, strict=True)
            }
            for name, (values, grown) in who.items()
        },
    }  # fmt: skip


def part(*points):
    """The part "steps" of a run with cgru and PyTorch."""
    machine = {"cpu": "a CPU", "cores": 2, "load_average_before": 0, "load_average_after": 1}
    return {
        "date": "today", "machine": machine, "versions": {"cgru": "1"}, "T": 100, "threads": [1, 2], "no_limit": None,
        "absent": {}, "points": list(points),
    }  # fmt: skip


def just_met():
    """Points that just meet every goal."""
    return [
        point(256, 32, cgru=((13.0, 7.6), 8), PyTorch=((12.4, 7.3), 8)),
        point(128, 32, cgru=((14.5, 8.5), 8), PyTorch=((29.0, 17.0), 8)),
        point(64, 32, cgru=((19.0, 11.0), 8), PyTorch=((38.0, 22.0), 8)),
        point(32, 8, "lstm", cgru=((100.0, 100.0), 8), PyTorch=((200.0, 200.0), 9)),
    ]


def test_goals_that_are_met():
    found = goals.steps_of("cgru", just_met())
    assert [goal["met"] for goal in found] == [True] * 7
    assert [goal["figure"] for goal in found[:3]] == [1.3, 1.45, 1.9]
    assert [goal["points"] for goal in found] == [1, 1, 1, 3, 8, 6, 8]


@pytest.mark.parametrize(
    ("H", "N", "cell", "threads", "values", "missed"),
    [
        (256, 32, "gru", "1", {"median": 13.01}, {0: 1.301}),
        (128, 32, "gru", "1", {"median": 14.51}, {1: 1.451, 5: 29 / 14.51}),
        (64, 32, "gru", "1", {"median": 19.01}, {2: 1.901, 5: 38 / 19.01}),
        (64, 32, "gru", "2", {"median": 11.5}, {3: 19 / 11.5, 5: 22 / 11.5}),
        (256, 32, "gru", "2", {"median": 7.7}, {3: 13 / 7.7, 4: 7.3 / 7.7}),
        (32, 8, "lstm", "1", {"median": 101.0}, {5: 200 / 101}),
        (32, 8, "lstm", "2", {"median": 250.0}, {4: 0.8, 5: 0.8}),
        (256, 32, "gru", "1", {"memory": {"growth": 9, "peak": 9}}, {6: 9 / 8}),
    ],
)
def test_goals_that_are_missed(H, N, cell, threads, values, missed):
    """Each by itself, with its figure at the point, and said so in the report."""
    points = just_met()
    line = next(line for line in points if (line["H"], line["N"], line["cell"]) == (H, N, cell))
    line["contestants"]["cgru"][threads] |= values
    found = goals.steps_of("cgru", points)
    assert [number for number, goal in enumerate(found) if goal["met"] is False] == list(missed)
    said = "\n".join(report.verdicts([goal | {"who": "cgru"} for goal in found]))
    for number, figure in missed.items():
        assert list(found[number]["missed"].values()) == [pytest.approx(figure)]
        assert found[number]["figure"] == pytest.approx(figure)
        assert all(name.startswith(line["key"]) for name in found[number]["missed"])
    assert said.count("MISSED") == len(missed)
    assert said.count(f"    {line['key']}") == sum(number > 2 for number in missed)


def test_every_point_that_misses_is_listed():
    points = just_met()
    for line in points:
        line["contestants"]["cgru"]["2"]["median"] *= 3
    ratio = goals.steps_of("cgru", points)[4]
    assert len(ratio["missed"]) == 4 and ratio["figure"] == pytest.approx(7.3 / 22.8)
    lines = list(report.verdicts([ratio | {"who": "cgru"}]))
    assert lines[0].endswith("worst of 8: 0.32, at least 0.95: MISSED at 4 of 8") and len(lines) == 5
    assert lines[1] == "    gru-256-32, 2 threads: 0.32"


def test_no_verdict_without_a_figure():
    points = just_met()
    found = goals.steps_of("cgru.torch", points)  # nobody of that name
    assert [goal["met"] for goal in found] == [None] * 7 and [goal["points"] for goal in found] == [0] * 7
    assert all(line.endswith("-, at most 1.3: not measured") for line in report.verdicts([found[0] | {"who": "x"}]))
    found = goals.steps_of("cgru", points[3:])  # a run of other points
    assert [goal["met"] for goal in found] == [None] * 4 + [True] * 3
    del points[3]["contestants"]["cgru"]  # all points but one are met: not said to be all
    found = goals.steps_of("cgru", points)
    assert [goal["met"] for goal in found] == [True] * 4 + [None] * 3
    assert next(report.verdicts([found[4] | {"who": "cgru"}])).endswith("not measured at 2 of 8")
    points[0]["contestants"]["cgru"]["1"]["median"] = 99.0  # but one that misses is enough
    assert goals.steps_of("cgru", points)[4]["met"] is False


def test_no_limit_and_no_memory_without_their_means():
    points = just_met()
    for line in points:
        line["limit_ns"], line["gflops"] = {}, {}
        del line["contestants"]["PyTorch"]["1"]["memory"]
    found = goals.steps_of("cgru", points)
    assert [goal["met"] for goal in found] == [None] * 3 + [True] * 3 + [None]
    said = "\n".join(report.steps(part(*points) | {"no_limit": "no compiler"}))
    assert "no limit: no compiler" in said and "cgru / limit" in said


def test_both_of_cgrus_are_judged():
    found = goals.evaluate({"steps": part(*just_met())})
    assert [goal["who"] for goal in found] == ["cgru"] * 7 + ["cgru.torch"] * 7
    assert {goal["part"] for goal in found} == {"steps"}


# ---- report and command


def test_the_report_of_steps():
    found = {"parts": {"steps": part(*just_met()) | {"absent": {"cgru.torch LSTM": "there is none"}}}}
    found["goals"] = goals.evaluate(found["parts"])
    said = "\n".join(report.lines(found))
    assert "cgru.torch LSTM is absent: there is none" in said and "NOT A QUIET MACHINE" not in said
    for title in ("GRU, 1 thread", "GRU, 2 threads", "LSTM, 1 thread", "LSTM, 2 threads"):
        assert f"\n{title}\n" in said
    rows = [line.split() for line in said.splitlines() if line.startswith("128, 32")]
    # GFLOP/s, the limit, cgru and PyTorch in ms, and both over the limit; then the ratio, and both memories
    assert rows[0] == ["128,", "32", "100", "1e-05", "1.45e-05", "2.9e-05", "1.45", "2.9"]
    assert rows[1] == ["128,", "32", "2", "0.0", "0.0"]
    found["parts"]["steps"]["points"][0]["contestants"]["cgru"]["1"]["spread"] = 0.4
    assert "NOT A QUIET MACHINE" not in "\n".join(report.lines(found))  # one disturbed figure is not the machine
    for line in found["parts"]["steps"]["points"]:
        for each in line["contestants"].values():
            each["1"]["spread"] = each["2"]["spread"] = 0.4
    assert "NOT A QUIET MACHINE" in "\n".join(report.lines(found))


def test_command(tmp_path, capsys, monkeypatch, torch):
    """Both parts in small; then one of them again, which leaves the other; then the report of what is stored."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # PyTorch's threads do not spin where others run too
    small = ["--quick", "--hidden-sizes", "8", "--rows", "2", "--threads", "1", "--text-steps", "2"]
    small += ["--output", str(tmp_path)]
    before = torch.get_num_threads()
    try:
        assert training.main(small) == 0
        first = json.loads((tmp_path / "results.json").read_text())
        assert set(first["parts"]) == {"steps", "text"} and len(first["goals"]) == 14 + 2
        lines = first["parts"]["steps"]["points"]
        assert [line["key"] for line in lines] == ["gru-T100-N2-I8-H8", "lstm-T100-N2-I8-H8"]
        for line in lines:
            grown = [each["1"].get("memory") for each in line["contestants"].values()]
            assert all(grown) if memory.CLEAR.exists() else not any(grown)
        output = capsys.readouterr().out
        assert "GRU, 1 thread" in output and "PyTorch float64" in output
        assert training.main(["--text", *small]) == 0
    finally:
        torch.set_num_threads(before)
    second = json.loads((tmp_path / "results.json").read_text())
    assert second["parts"]["steps"] == first["parts"]["steps"] and second["parts"]["text"] != first["parts"]["text"]
    if "no pictures" not in output:
        for name in ("curves", "limit"):
            drawn = (tmp_path / f"{name}.png").is_file()
            assert drawn or (name == "limit" and second["parts"]["steps"]["no_limit"])
    missed = any(goal["met"] is False for goal in second["goals"])
    assert training.main(["--report", str(tmp_path)]) == int(missed)
    assert "== text" in capsys.readouterr().out


def test_a_missed_goal_is_a_status_of_1(monkeypatch, capsys):
    points = just_met()
    monkeypatch.setattr(training, "run", lambda options, before: {"parts": {"steps": part(*points)}})
    assert training.main([]) == 0
    points[0]["contestants"]["cgru"]["1"]["median"] = 99.0
    assert training.main([]) == 1 and training.main(["--quick"]) == 0
    assert "MISSED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--quick", "--record"], "it does not go with --quick"),
        (["--rows", "8", "--record"], "it does not go with --rows"),
        (["--text-steps", "8", "--record"], "it does not go with --text-steps"),
        (["--cells", "rnn"], "--cells must be of gru and lstm, got rnn"),
        (["--hidden-sizes", "32", "0"], "--hidden-sizes must be above 0, got 32 0"),
        (["--budget", "-1"], "--budget must be above 0, got -1"),
        (["--threads", "4096"], "--threads 4096: this process may use"),
        (["--report", "nowhere"], "there is no results.json in it"),
    ],
)
def test_bad_arguments(arguments, words, capsys):
    with pytest.raises(SystemExit):
        training.arguments(arguments)
    assert words in capsys.readouterr().err


def test_records_of_the_old_form_are_refused(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps({"lines": [], "T": 100}))
    for arguments in (["--report", str(tmp_path)], ["--quick", "--output", str(tmp_path)]):
        with pytest.raises(SystemExit, match=r"results\.json is a record of another form"):
            training.main(arguments)


def test_arguments(monkeypatch):
    monkeypatch.setattr(training.environment, "cores", lambda: 2)
    options = training.arguments([])
    assert options.parts == ["steps", "text"] and options.threads == [1, 2]
    assert (options.hidden_sizes, options.rows) == ([32, 64, 128, 256, 512], [8, 32, 128])
    assert training.arguments(["--text"]).parts == ["text"] and training.arguments(["--steps"]).parts == ["steps"]
    assert training.arguments(["--rows", "32", "8", "32"]).rows == [8, 32]
    monkeypatch.setattr(training.environment, "cores", lambda: 1)
    assert training.arguments([]).threads == [1]


def test_limit_is_drawn(tmp_path):
    """A panel for each cell and N, a line for everybody and number of threads, the goals as marks."""
    peer("matplotlib")
    from bench.training import plots

    figure = plots.limit(part(*just_met()))
    titles = {axis.get_title() for axis in figure.axes}
    assert titles == {"GRU, N = 8", "GRU, N = 32", "LSTM, N = 8", "LSTM, N = 32"}
    panel = next(axis for axis in figure.axes if axis.get_title() == "GRU, N = 32")
    heights = sorted(tuple(map(float, line.get_ydata())) for line in panel.lines)
    assert (1.9, 1.45, 1.3) in heights and len(heights) == 4 + 2  # those of cgru; PyTorch's; the limit, the goals
    assert plots.draw({"steps": part(*just_met())}, tmp_path) == [tmp_path / "limit.png"]
    without = just_met()
    for line in without:
        line["limit_ns"] = {}
    assert plots.limit(part(*without)) is None and plots.draw({"steps": part(*without)}, tmp_path) == []


def test_the_environment_of_a_run_has_no_settings_of_openblas(monkeypatch):
    """A run starts over without them, one thread for BLAS, and not bound to one processor."""
    seen = {}

    def execve(program, command, environment):
        seen.update(environment)
        raise SystemExit

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.delenv("CGRU_BENCH_CLEAN", raising=False)
    with pytest.raises(SystemExit):
        training.environment.ensure_clean(threads=1)
    assert "OPENBLAS_CORETYPE" not in seen and seen["OPENBLAS_NUM_THREADS"] == "1"
    assert "CGRU_BENCH_CPUS" not in seen
