"""The verdicts of the speed benchmark, from figures that are made up."""

import copy

import pytest

from bench.speed import goals, report
from bench.speed.grid import CELLS, GRID

LIMIT = 100.0


def made_up(cgru=20.0, peers=1000.0, loops=1.0, outside=1.2, alone=1.1):
    """Results of a run: every contestant takes the same time at every point."""
    names = {goals.CGRU: cgru, **dict.fromkeys(goals.PEERS, peers), "C panels": 100.0}
    points = [
        {
            "key": point.key, "shape": point.shape, "cell": point.cell, "T": point.T, "N": point.N, "I": point.I,
            "H": point.H, "limit": {"ns": LIMIT},
            "contestants": {name: {"median": ns, "ways": {}} for name, ns in names.items()},
        }
        for point in GRID
    ]  # fmt: skip
    at = {"outside_ns": outside, "pass_ns": alone, "products_ns": 1.0, "call_ns": 1.0 + outside}
    one = {"loop_ns": loops, "widths": {str(width): dict(at) for width in (128, 64, 32, 16)}}
    tails = {goals.CGRU: {"p50": 1.0, "p99.9": 2.0}, goals.RIVAL: {"p50": 1.0, "p99.9": 3.0}}
    extras = {
        "import": {"over_numpy_ms": 20.0},
        "threads": {"speedup": 1.8},
        "jitter": {"contestants": tails},
        "gates": {"cells": {cell: copy.deepcopy(one) for cell in ("gru", "lstm", "rnn")}},
    }
    return {"points": points, "extras": extras}


def point_of(results, key):
    return next(point for point in results["points"] if point["key"] == key)


def verdict(results, words):
    (found,) = [goal for goal in goals.evaluate(results) if words in goal["goal"]]
    return found


def test_goals_pass_miss_and_stay_open():
    found = goals.evaluate(made_up())
    assert all(goal["passed"] for goal in found) and len({goal["goal"] for goal in found}) == len(found)
    missed = [goal for goal in goals.evaluate(made_up(cgru=990.0)) if not goal["passed"]]
    assert all(goal["measured"] for goal in missed)
    assert sum("over the limit" in goal["goal"] for goal in missed) == 2 * 9
    assert sum("times as fast" in goal["goal"] for goal in missed) == 2 * 2
    nothing = goals.evaluate({"points": [], "extras": {}})
    assert len(nothing) == len(found)
    assert all(goal["passed"] is None and goal["measured"] is None for goal in nothing)
    machine = {"points": [], "extras": {}, "goals": nothing}
    assert report.goals_text(machine["goals"]).startswith("Goals: 0 pass, 0 MISS")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("peer", goals.PEERS)
def test_a_peer_may_be_ahead_nowhere(cell, peer):
    results = made_up()
    point = point_of(results, f"{cell}-T100-N3-I100-H100")
    point["contestants"][peer] = {"median": 18.0, "ways": {}}
    point["again"] = {goals.CGRU: {"median": 20.0}, peer: {"median": 18.1}}
    found = verdict(results, f"{cell.upper()}: never slower than {peer}")
    assert found["passed"] is False and found["measured"] == pytest.approx(0.9025)
    assert found["note"] == "T100-N3-I100-H100 0.900 and 0.905"
    other = next(name for name in CELLS if name != cell)
    assert verdict(results, f"{other.upper()}: never slower than {peer}")["passed"]


@pytest.mark.parametrize(
    "runs, lost",
    [
        ([1.0, 1.0], False),
        ([0.999, 0.999], False),  # nobody's clock is that good
        ([0.97, 0.97], True),
        ([0.97, 0.98], True),
        ([0.95, 1.01], False),  # two runs differ by more than that
        ([0.92, 0.99], False),
        ([0.70, 1.10], True),  # a machine that is not quiet is no excuse
        ([0.90, 0.94], True),
        ([0.97], True),
        ([0.995], False),
    ],
)
def test_noise_is_what_two_runs_differ_by(runs, lost):
    assert goals.lost(runs) is lost


def test_a_tie_is_told():
    results = made_up()
    point = point_of(results, "gru-T100-N9-I256-H256")
    point["contestants"]["OpenVINO"] = {"median": 19.9, "ways": {}}
    point["again"] = {goals.CGRU: {"median": 20.0}, "OpenVINO": {"median": 20.1}}
    found = verdict(results, "GRU: never slower than OpenVINO")
    assert found["passed"] and found["measured"] == pytest.approx(1.0)
    point["again"]["OpenVINO"]["median"] = 19.9
    found = verdict(results, "GRU: never slower than OpenVINO")
    assert found["passed"] and found["note"] == "1 within noise"


def test_the_mean_is_geometric_and_of_sequences():
    results = made_up(cgru=1.0, peers=1.2)
    sequences = [point for point in results["points"] if point["cell"] == "gru" and point["T"] > 1]
    for point in sequences[: len(sequences) // 2]:
        point["contestants"][goals.RIVAL]["median"] = 1.6
    half = len(sequences) // 2 / len(sequences)
    found = verdict(results, "GRU: times as fast as ONNX Runtime, geometric mean")
    assert found["measured"] == pytest.approx(1.6**half * 1.2 ** (1 - half)) and found["passed"]
    assert not verdict(results, "LSTM: times as fast as ONNX Runtime, geometric mean")["passed"]


def test_the_slowest_short_step_counts():
    results = made_up()
    point_of(results, "lstm-T1-N1-I33-H33")["contestants"][goals.RIVAL]["median"] = 20.0 * 6.9
    found = verdict(results, "LSTM: times as fast as ONNX Runtime, steps")
    assert not found["passed"] and found["note"].startswith("T1-N1-I33-H33; ")
    assert "T1-N1-I64-H64 50" in found["note"] and "H100" not in found["note"]


@pytest.mark.parametrize(
    "key, words, target",
    [
        ("gru-T1-N1-I64-H64", "GRU: step, N=1, H=64", 2.0),
        ("lstm-T1-N1-I128-H128", "LSTM: step, N=1, H=128", 1.35),
        ("gru-T1-N1-I512-H512", "GRU: step, N=1, H=256 and more", 1.15),
        ("gru-T100-N1-I64-H64", "GRU: T=100, N=1, H=64", 1.5),
        ("lstm-T100-N1-I512-H512", "LSTM: T=100, N=1, H=256 and more", 1.2),
        ("gru-T100-N8-I64-H64", "GRU: T=100, N>=8, H=64", 1.5),
        ("lstm-T100-N32-I128-H128", "LSTM: T=100, N>=8, H=128", 1.25),
        ("gru-T100-N9-I256-H256", "GRU: T=100, N>=8, H=256 and more", 1.15),
    ],
)
def test_the_worst_of_a_kind_counts_against_the_limit(key, words, target):
    for factor, passed in ((target * 0.999, True), (target * 1.001, False)):
        results = made_up(cgru=50.0)
        point = point_of(results, key)
        point["contestants"][goals.CGRU]["median"] = LIMIT * factor
        found = verdict(results, f"{words}: time over the limit")
        assert found["target"] == target and found["passed"] is passed
        assert found["note"].split(";")[0] == point["shape"]


def test_points_that_no_limit_is_set_for():
    """N = 4, I other than H, and sizes between."""
    results = made_up()
    for key in ("gru-T100-N4-I64-H64", "gru-T100-N8-I40-H100", "gru-T1-N1-I100-H100", "gru-T100-N33-I33-H33"):
        point_of(results, key)["contestants"][goals.CGRU]["median"] = 900.0
    assert all(goal["passed"] for goal in goals.evaluate(results) if "over the limit" in goal["goal"])


@pytest.mark.parametrize("cell", CELLS)
def test_gates(cell):
    name = cell.upper()
    results = made_up(loops=0.9, outside=0.9 * 1.79, alone=0.9 * 1.39)
    found = [goal for goal in goals.evaluate(results) if goal["goal"].startswith(name) and "plain loop" in goal["goal"]]
    assert len(found) == 5 and all(goal["passed"] for goal in found)
    results = made_up(loops=0.9, outside=0.9 * 2.49, alone=0.9 * 1.41)
    for width, passed in ((64, False), (128, False), (16, True), (32, True)):
        found = verdict(results, f"{name} H={width}: outside")
        assert found["passed"] is passed and found["measured"] == pytest.approx(2.49)
    assert not verdict(results, f"{name}: the pass")["passed"]
    results["extras"]["gates"]["cells"][cell]["widths"]["16"]["outside_ns"] = 0.9 * 2.51
    assert not verdict(results, f"{name} H=16: outside")["passed"]
    for at in results["extras"]["gates"]["cells"][cell]["widths"].values():
        at["pass_ns"] = None        # no compiler for it
    assert verdict(results, f"{name}: the pass")["passed"] is None


def test_gates_of_an_rnn_are_a_difference():
    found = verdict(made_up(loops=0.3, outside=0.79), "RNN H=64")
    assert found["passed"] and found["measured"] == pytest.approx(0.49) and found["unit"] == "ns"
    assert not verdict(made_up(loops=0.3, outside=0.81), "RNN H=128")["passed"]


def test_every_goal_has_points_on_the_grid():
    assert all(goal["measured"] is not None for goal in goals.evaluate(made_up()))
    keys = {point.key for point in GRID}
    lost_once = [(100, 3, 100), (100, 3, 256), (100, 9, 100), (100, 9, 256), (37, 17, 200)]
    assert {f"{cell}-T{t}-N{n}-I{h}-H{h}" for cell in CELLS for t, n, h in lost_once} <= keys
