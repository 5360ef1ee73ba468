"""The verdicts on quantised weights, from figures that are made up."""

import re

import pytest

from bench.speed import weights_goals as goals
from bench.speed import weights_report
from bench.speed.grid import CELLS, WEIGHTS_GRID

FLOAT32 = 1000.0
FASTEST = {goals.CGRU: FLOAT32, goals.BFLOAT16: 500.0, goals.INT8: 200.0, goals.TORCH: 500.0}


def made_up(isa="x86-64-v4-vnni", **medians):
    """Results of a run: every contestant takes the same time at every point, and meets every target."""
    times = FASTEST | {name.replace("_", " "): ns for name, ns in medians.items()}
    points = [
        {
            "key": point.key, "shape": point.shape, "cell": point.cell, "T": point.T, "N": point.N, "I": point.I,
            "H": point.H, "failures": {},
            "contestants": {name: {"median": ns, "error": 1e-3} for name, ns in times.items()},
        }
        for point in WEIGHTS_GRID
    ]  # fmt: skip
    return {"points": points, "isa": {"name": isa, "forced": False, "usable": [isa]}}


def point_of(results, key):
    return next(point for point in results["points"] if point["key"] == key)


def verdict(results, words):
    (found,) = [goal for goal in goals.evaluate(results) if words in goal["goal"]]
    return found


@pytest.mark.parametrize("isa", goals.JUDGED)
def test_every_goal_has_points_and_can_be_met_and_missed(isa):
    found = goals.evaluate(made_up(isa))
    assert all(goal["passed"] for goal in found) and len({goal["goal"] for goal in found}) == len(found)
    assert len(found) == 2 * (4 + 10 + 3 + 2 + 2)
    slow = goals.evaluate(made_up(isa, cgru_bfloat16=1100.0, cgru_int8=1100.0))
    assert {goal["passed"] for goal in slow if "times as fast" in goal["goal"]} == {False}
    nothing = goals.evaluate(made_up(isa) | {"points": []})
    assert len(nothing) == len(found)
    assert all(goal["passed"] is None and goal["measured"] is None for goal in nothing)


@pytest.mark.parametrize(
    "isa, words, target",
    [
        ("x86-64-v4-vnni", "GRU cgru bfloat16: step, N=1, H=256:", 1.6),
        ("x86-64-v4", "LSTM cgru bfloat16: step, N=1, H=512:", 1.6),
        ("x86-64-v3-vnni", "GRU cgru bfloat16: step, N=1, H=512:", 1.3),
        ("x86-64-v4", "GRU cgru bfloat16: T=100, N=1, H=256:", 1.3),
        ("x86-64-v4", "GRU cgru bfloat16: T=100, N=1, H=512:", 1.4),
        ("x86-64-v3", "LSTM cgru bfloat16: T=100, N=1, H=256:", 1.15),
        ("x86-64-v3", "LSTM cgru bfloat16: T=100, N=1, H=512:", 1.2),
        ("x86-64-v4-vnni", "GRU cgru int8: step, N=1, H=128:", 2),
        ("x86-64-v3-vnni", "GRU cgru int8: T=100, N=1, H=256:", 3),
        ("x86-64-v4-vnni", "LSTM cgru int8: step, N=1, H=512:", 3),
        ("x86-64-v4-vnni", "LSTM cgru int8: T=100, N=1, H=1024:", 4),
        ("x86-64-v4", "GRU cgru int8: step, N=1, H=128:", 1.8),
        ("x86-64-v3", "GRU cgru int8: T=100, N=1, H=256:", 2.3),
        ("x86-64-v3", "GRU cgru int8: step, N=1, H=512:", 2.5),
        ("x86-64-v3", "LSTM cgru int8: step, N=1, H=1024:", 4),
        ("x86-64-v4-vnni", "GRU cgru int8: T=100, N=32, H=256:", 2),
        ("x86-64-v3", "GRU cgru int8: T=100, N=32, H=512:", 1.25),
    ],
)
def test_a_machine_is_judged_by_what_it_has(isa, words, target):
    """The one point that a goal is about is just at its target, or just below."""
    cell, kind, steps, rows, width = _parts(words)
    key = f"{cell}-T{steps}-N{rows}-I{width}-H{width}"
    for factor, passed in ((1.001, True), (0.999, False)):
        results = made_up(isa)
        point_of(results, key)["contestants"][kind]["median"] = FLOAT32 / (target * factor)
        found = verdict(results, words)
        assert found["target"] == target and found["passed"] is passed and found["note"] == key.split("-", 1)[1]
        assert found["measured"] == pytest.approx(target * factor)


def _parts(words):
    """Cell, contestant, T, N and H of the words of a goal."""
    pattern = r"(\w+) (cgru \w+): (?:step|T=(\d+)), N=(\d+), H=(\d+):"
    cell, kind, steps, rows, width = re.fullmatch(pattern, words).groups("1")
    return cell.lower(), kind, int(steps), int(rows), int(width)


@pytest.mark.parametrize(
    "isa, shape, key, target",
    [
        ("x86-64-v4-vnni", "step, N=1", "gru-T1-N1-I1024-H1024", 1.7),
        ("x86-64-v3", "T=100, N=1,", "gru-T100-N1-I128-H128", 2),
        ("x86-64-v4-vnni", "T=100, N=32", "gru-T100-N32-I512-H512", 1.3),
        ("x86-64-v3", "T=100, N=32", "gru-T100-N32-I256-H256", 1.3),
    ],
)
def test_the_worst_point_counts_against_pytorch(isa, shape, key, target):
    for factor, passed in ((1.001, True), (0.999, False)):
        results = made_up(isa)
        point_of(results, key)["contestants"][goals.TORCH]["median"] = 200.0 * target * factor
        (found,) = [
            goal for goal in goals.evaluate(results)
            if goal["goal"].startswith(f"GRU cgru int8: {shape}") and goal["goal"].endswith("PyTorch int8")
        ]  # fmt: skip
        assert found["target"] == target and found["passed"] is passed
        assert found["note"].startswith(key.removeprefix("gru-"))


def test_sizes_that_are_not_compared_with_pytorch():
    """Smaller ones, N = 8, and I other than H."""
    results = made_up()
    for shape in ("T1-N1-I64-H64", "T100-N8-I512-H512", "T100-N1-I40-H100", "T100-N32-I128-H128"):
        point_of(results, f"lstm-{shape}")["contestants"][goals.TORCH]["median"] = 1.0
    assert all(goal["passed"] for goal in goals.evaluate(results) if goal["goal"].endswith("PyTorch int8"))


@pytest.mark.parametrize("kind", goals.ACCURACY)
@pytest.mark.parametrize("cell", CELLS)
def test_no_shape_is_slower_than_float32(cell, kind):
    results = made_up()
    for shape, ns in (("T100-N8-I40-H100", FLOAT32 / 0.94), ("T1-N1-I32-H32", FLOAT32 / 0.9)):
        point_of(results, f"{cell}-{shape}")["contestants"][kind]["median"] = ns
    found = verdict(results, f"{cell.upper()} {kind}: any shape with H >= 32")
    assert found["passed"] is False and found["measured"] == pytest.approx(0.9)
    assert found["note"] == "T1-N1-I32-H32; also T100-N8-I40-H100 0.94"
    other = next(name for name in CELLS if name != cell)
    assert verdict(results, f"{other.upper()} {kind}: any shape")["passed"]


def test_what_was_slower_is_measured_twice_and_the_mean_counts():
    results = made_up()
    point = point_of(results, "gru-T1-N1-I64-H64")
    assert goals.doubtful(point) == []
    point["contestants"][goals.BFLOAT16]["median"] = FLOAT32 / 0.92
    assert goals.doubtful(point) == [goals.BFLOAT16]
    point["again"] = {goals.CGRU: {"median": 900.0}, goals.BFLOAT16: {"median": 900.0}}
    found = verdict(results, "GRU cgru bfloat16: any shape")
    assert found["passed"] and found["measured"] == pytest.approx(0.96)


@pytest.mark.parametrize("kind, most", [(goals.BFLOAT16, 6e-3), (goals.INT8, 2e-2)])
def test_the_largest_error_counts(kind, most):
    results = made_up()
    errors = {
        "gru-T1-N1-I512-H512": 1.0,  # steps and wider ones are not in the goal
        "gru-T100-N8-I1024-H1024": 1.0,
        "gru-T100-N8-I512-H512": most * 0.999,
    }
    for key, error in errors.items():
        point_of(results, key)["contestants"][kind]["error"] = error
    words = f"GRU {kind}: largest error"
    found = verdict(results, words)
    assert found["passed"] and found["note"] == "T100-N8-I512-H512" and found["target"] == most
    point_of(results, "gru-T100-N1-I40-H100")["contestants"][kind]["error"] = most * 1.001
    assert verdict(results, words)["passed"] is False


def test_an_answer_that_was_wrong_is_a_miss():
    """It was not timed, and so it has neither a time nor an error."""
    results = made_up()
    point = point_of(results, "lstm-T100-N32-I256-H256")
    del point["contestants"][goals.INT8]
    point["failures"][goals.INT8] = "y, h_n = model(x, hx): off by 3.0e-02, tolerance 2e-02"
    found = verdict(results, "LSTM cgru int8: largest error")
    assert found["passed"] is False and "off by 3.0e-02" in found["note"]
    assert verdict(results, "LSTM cgru int8: T=100, N=32, H=256:")["passed"] is None


@pytest.mark.parametrize("isa", ["x86-64-v2", "aarch64-dotprod", None])
def test_an_instruction_set_without_targets(isa):
    """What depends on none is judged all the same."""
    found = goals.evaluate(made_up(isa))
    judged = {goal["goal"].split(": ")[1] for goal in found if goal["passed"]}
    assert judged == {"any shape with H >= 32", "largest error of y, T=100, H <= 512"}
    assert all("no target" in goal["note"] for goal in found if goal["passed"] is None)
    assert weights_report.report.goals_text(found)
