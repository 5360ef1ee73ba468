"""The yardstick itself: right answers only, verdicts from figures, the limit as documented."""

import numpy as np
import pytest

from bench.common import cbuild, timing
from bench.common.probe import FOOTPRINTS, Probe
from bench.common.problem import Point, Problem
from bench.speed import goals, measure
from bench.speed.grid import GRID
from bench.speed.peers import c_baselines, numpy_loop

BASELINES = [c_baselines.Naive, c_baselines.NaiveFast, c_baselines.Blas, c_baselines.Panel]
ODD = Point(7, 1, 5, 19)
ODD_STEP = Point(1, 1, 5, 19)


def c_baseline(kind):
    """A baseline, or skip where there is no compiler."""
    try:
        return kind()
    except cbuild.NoCompiler as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("kind", BASELINES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("point", [ODD, ODD_STEP, Point(7, 3, 5, 19)])
def test_c_baselines_are_right(kind, point):
    problem = Problem(point)
    for runner in c_baseline(kind).runners(problem):
        for _ in range(2):  # the second time after a run: it starts afresh
            np.testing.assert_allclose(runner.result(), problem.expected, atol=1e-6)
            assert (runner.sample(3, 4) > 0).all()


def test_c_baselines_leave_the_floating_point_mode_alone():
    c_baseline(c_baselines.NaiveFast)
    smallest = np.array([1e-45], np.float32)
    assert (smallest * np.float32(1)).view(np.uint32)[0] == 1


class _WrongGateOrder(numpy_loop.NumPy):
    name = "wrong"

    def runners(self, problem):
        swapped = Problem(problem.point)
        swapped.state = {
            name: np.roll(array, problem.point.H, axis=0) for name, array in swapped.state.items()
        }
        return super().runners(swapped)


@pytest.mark.parametrize("point", [ODD, ODD_STEP])
def test_a_wrong_contestant_is_reported_and_not_timed(point):
    contestants = {"NumPy": numpy_loop.NumPy(), "wrong": _WrongGateOrder()}
    result = measure.measure_point(point, contestants, 0.005)
    assert set(result["contestants"]) == {"NumPy"}
    assert "off by" in result["failures"]["wrong"]
    assert result["contestants"]["NumPy"]["error"] < 1e-6


def test_timed_statement_carries_its_state():
    runner = timing.PythonRunner("h = h + 1", "h", lambda: {"h": 10}, check_calls=4)
    assert runner.result() == 14
    assert runner.sample(5, 3).shape == (3,)
    assert runner.single(7).shape == (7,)


def test_limit_is_the_larger_of_flops_and_bytes():
    try:
        probe = Probe()
    except cbuild.NoCompiler as error:
        pytest.skip(str(error))
    probe.peak = 100.0
    probe.bandwidth = probe.typical = dict.fromkeys(FOOTPRINTS, 50.0)
    step = probe.limit(Point(1, 1, 40, 100))
    assert step["flops"] == 2 * 300 * 140 and step["bytes"] == 4 * 300 * 140
    assert step["bound"] == "bytes" and step["ns"] == pytest.approx(4 * 300 * 140 / 50)
    sequence = probe.limit(Point(10, 8, 40, 100))
    assert sequence["bytes"] == 4 * 300 * (10 * 100 + 40)
    assert sequence["bound"] == "flops" and sequence["ns"] == pytest.approx(10 * 8 * 2 * 300 * 140 / 100)


def _results(cgru_ns):
    points = []
    for point in GRID:
        found = {goals.CGRU: cgru_ns, goals.RIVAL: 1000.0, "C panels": 100.0}
        records = {name: {"median": ns, "ways": {}} for name, ns in found.items()}
        points.append({"key": point.key, "contestants": records, "limit": {"ns": 100.0}})
    tails = {goals.CGRU: {"p50": 1.0, "p99.9": 2.0}, goals.RIVAL: {"p50": 1.0, "p99.9": 3.0}}
    extras = {
        "import": {"over_numpy_ms": 20.0},
        "threads": {"speedup": 1.8},
        "jitter": {"contestants": tails},
    }
    return {"points": points, "extras": extras}


def test_goals_pass_miss_and_stay_open():
    assert all(goal["passed"] for goal in goals.evaluate(_results(20.0)))
    missed = [goal for goal in goals.evaluate(_results(990.0)) if not goal["passed"]]
    assert {goal["unit"] for goal in missed} == {"x", "ns"} and all(goal["measured"] for goal in missed)
    nothing = goals.evaluate({"points": [], "extras": {}})
    assert all(goal["passed"] is None and goal["measured"] is None for goal in nothing)


def test_every_goal_is_on_the_grid():
    keys = {point.key for point in GRID}
    assert len(keys) == len(GRID)
    for shape, targets in (goals._FASTER | goals._LIMIT).items():
        assert {Point(*shape, hidden, hidden).key for hidden in targets} <= keys
