"""The yardstick itself: right answers only, the limit as documented, who takes part and what the reports read."""

import importlib.util
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.common import cbuild, results, timing
from bench.common.contestant import Absent
from bench.common.problem import GATES, Problem
from bench.speed import gates, measure, report, run
from bench.speed.grid import CELLS, GRID, QUICK
from bench.speed.peers import c_baselines, cgru_engines, numpy_loop, onnx_runtime, open_vino, pytorch
from cgru.judge import limit, suites
from cgru.judge.points import Point
from cgru.judge.probe import FOOTPRINTS, Probe
from support import reference

BASELINES = [c_baselines.Naive, c_baselines.NaiveFast, c_baselines.Blas, c_baselines.Panel]
PEERS = {"torch": pytorch.Torch, "onnxruntime": onnx_runtime.OnnxRuntime, "openvino": open_vino.OpenVino}
ODD = Point(7, 1, 5, 19)
ODD_STEP = Point(1, 1, 5, 19)
SHAPES = [ODD, ODD_STEP, Point(7, 3, 5, 19), Point(6, 3, 5, 19, layers=2, directions=2), Point(1, 1, 5, 19, layers=3)]
ROOT = Path(bench.__file__).resolve().parents[1]


@cache
def compiled(build, *arguments):
    """What it builds, or skip where there is no compiler."""
    try:
        return build(*arguments)
    except (cbuild.NoCompiler, Absent) as error:
        pytest.skip(str(error))


def check_twice(runner, problem):
    for _ in range(2):  # the second time after a run: it starts afresh
        np.testing.assert_allclose(runner.result().reshape(problem.expected.shape), problem.expected, atol=2e-6)
        assert (runner.sample(3, 4) > 0).all()


# ---- contestants


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_the_right_answer(cell):
    """Of the problem itself, by the oracle of the tests."""
    problem = Problem(Point(6, 3, 5, 19, cell, layers=2, directions=2))
    hx = problem.states if cell == "lstm" else problem.states[0]
    expected, _ = getattr(reference, cell)(problem.x, problem.state, hx)
    np.testing.assert_allclose(problem.expected, expected, atol=1e-13)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", BASELINES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("point", SHAPES[:3], ids=lambda point: point.shape)
def test_c_baselines_are_right(kind, point, cell):
    problem = Problem(replace(point, cell=cell))
    for runner in compiled(kind).runners(problem):
        check_twice(runner, problem)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("point", SHAPES, ids=lambda point: point.shape)
def test_cgru_and_numpy_are_right(point, cell):
    problem = Problem(replace(point, cell=cell))
    for contestant in (cgru_engines.CgruBlas(), numpy_loop.NumPy()):
        for runner in contestant.runners(problem) if contestant.takes(problem.point) else []:
            check_twice(runner, problem)


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")      # of JAX, where tests before this have loaded it
@pytest.mark.parametrize("name", PEERS)
def test_peers_are_right(name):
    if not all(importlib.util.find_spec(module) for module in (name, "onnx")):
        pytest.skip(f"{name} or onnx is not installed")
    contestant = PEERS[name]()
    for point in SHAPES:
        for cell in ("gru", "lstm", "rnn"):
            problem = Problem(replace(point, cell=cell))
            for runner in contestant.runners(problem):
                check_twice(runner, problem)


class _WrongGateOrder(numpy_loop.NumPy):
    name = "wrong"

    def runners(self, problem):
        swapped = Problem(problem.point)
        swapped.state = {
            name: np.roll(array, problem.point.H, axis=0) for name, array in swapped.state.items()
        }
        return super().runners(swapped)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("point", [ODD, ODD_STEP], ids=lambda point: point.shape)
def test_a_wrong_contestant_is_reported_and_not_timed(point, cell):
    contestants = {"NumPy": numpy_loop.NumPy(), "wrong": _WrongGateOrder()}
    result = measure.measure_point(replace(point, cell=cell), contestants, 0.005)
    assert set(result["contestants"]) == {"NumPy"}
    assert "off by" in result["failures"]["wrong"]
    assert result["contestants"]["NumPy"]["error"] < 1e-6


def test_timed_statement_carries_its_state():
    runner = timing.PythonRunner("h = h + 1", "h", lambda: {"h": 10}, check_calls=4)
    assert runner.result() == 14
    assert runner.sample(5, 3).shape == (3,)
    assert runner.single(7).shape == (7,)


def test_something_runs_between_the_rounds():
    runner = timing.PythonRunner("h = h + 1", "h", lambda: {"h": 10}, check_calls=4)
    looks = []
    found = timing.interleave({"a": runner}, 0.001, rounds=3, between=lambda: looks.append(1))
    assert len(looks) == 4 and found["a"]["rounds"] == 3


def test_a_contestant_sits_out_what_it_does_not_have():
    contestants = {"NumPy": numpy_loop.NumPy()}
    assert not measure.measure_point(SHAPES[3], contestants, 0.005)["contestants"]


# ---- the limit


def test_limit_of_a_step():
    """The larger of flops and bytes of all matrices, at the bandwidth of them together."""
    found = limit.limit(Point(1, 1, 40, 100), 100.0, lambda size: {4 * 300 * 140: 50.0}[size])
    assert found["flops"] == 2 * 300 * 140 and found["bytes"] == 4 * 300 * 140
    assert found["bound"] == "bytes" and found["ns"] == pytest.approx(4 * 300 * 140 / 50)
    assert found["ns"] == found["overlapped_ns"] == found["steps_ns"]
    found = limit.limit(Point(1, 8, 40, 100, "lstm", layers=2), 100.0, lambda size: 50.0)
    assert found["flops"] == 8 * 2 * 400 * (140 + 200) and found["bound"] == "flops"


@pytest.mark.parametrize("rows, bound", [(1, "bytes"), (8, "flops")])
def test_limit_of_a_sequence_has_two_phases(rows, bound):
    """All inputs at the peak, then each step at the larger of its flops and its bytes."""
    speeds = {4 * 400 * 100: 50.0, 4 * 400 * 40: 80.0}
    found = limit.limit(Point(10, rows, 40, 100, "lstm"), 100.0, speeds.__getitem__)
    inputs, flops, read = 10 * rows * 2 * 400 * 40 / 100, 10 * rows * 2 * 400 * 100 / 100, 10 * 4 * 400 * 100 / 50
    assert found["bound"] == bound
    assert found["inputs_ns"] == pytest.approx(inputs)
    assert found["ns"] == pytest.approx(inputs + max(flops, read))
    assert found["overlapped_ns"] == pytest.approx(max(inputs + flops, read + 4 * 400 * 40 / 80))
    assert found["bytes"] == 4 * 400 * (10 * 100 + 40)


def test_limit_of_a_stack_adds_up():
    one, two = Point(10, 3, 100, 100), Point(10, 3, 100, 100, layers=2)
    both = Point(10, 3, 100, 100, directions=2)
    alone = limit.limit(one, 100.0, lambda size: 50.0)["ns"]
    assert limit.limit(two, 100.0, lambda size: 50.0)["ns"] == pytest.approx(2 * alone)
    assert limit.limit(both, 100.0, lambda size: 50.0)["ns"] == pytest.approx(2 * alone)
    assert limit.footprints(two) == limit.footprints(one) == {4 * 300 * 100}
    assert limit.footprints(replace(two, T=1)) == {4 * 4 * 300 * 100}


def test_the_limit_of_a_point_is_of_its_own_minutes():
    """Medians of the looks between its rounds."""
    probe = compiled(Probe)
    watch = probe.watch(ODD)
    for _ in range(3):
        watch.look()
    assert len(watch.peaks) == 3 and set(watch.speeds) == limit.footprints(ODD)
    assert min(watch.peaks) > 0 and all(min(speeds) > 0 for speeds in watch.speeds.values())
    watch.peaks[:] = [90.0, 100.0, 200.0]
    for speeds in watch.speeds.values():
        speeds[:] = [10.0, 60.0, 50.0]
    found = watch.limit(ODD)
    assert found["ns"] == limit.limit(ODD, 100.0, lambda size: 50.0)["ns"]
    assert found["gflops"] == 100.0 and set(found["gb_per_s"].values()) == {50.0}
    assert not any(probe.bandwidth.values()) and set(probe.bandwidth) == set(FOOTPRINTS)


# ---- the gates


def _expected(cell, values):
    """New h, and c of an LSTM, of the sums and states that a runner holds gate by gate; float64."""
    a, b = values[: GATES[cell]].astype(float), values[GATES[cell] : 2 * GATES[cell]].astype(float)
    h, c = values[2 * GATES[cell] : 2 * GATES[cell] + 2].astype(float)
    s = reference.sigmoid
    if cell == "gru":
        r, z = s(a[0] + b[0]), s(a[1] + b[1])
        n = np.tanh(a[2] + r * b[2])
        return [n + z * (h - n)]
    if cell == "rnn":
        return [np.tanh(a[0] + b[0])]
    i, f, g, o = s(a[0] + b[0]), s(a[1] + b[1]), np.tanh(a[2] + b[2]), s(a[3] + b[3])
    c = f * c + i * g
    return [o * np.tanh(c), c]


@pytest.mark.parametrize("cell", gates.CELLS)
def test_the_plain_loop_is_right(cell):
    runner = gates.Loop(cell, compiled(gates.loops))
    expected = _expected(cell, runner.values)
    assert runner.sample(2, 3).shape == (3,)
    np.testing.assert_allclose(runner.values[2 * GATES[cell] + 2 :][: len(expected)], expected, atol=5e-7)


@pytest.fixture(scope="module")
def engine_pass():
    return compiled(gates.engine_pass)


@pytest.mark.parametrize("cell", gates.CELLS)
@pytest.mark.skipif(not (ROOT / "cgru" / "engines" / "_cells.pxd").is_file(), reason="the engine's sources")
def test_the_engines_pass_is_the_engines(cell, engine_pass):
    """It takes the sums as `packed` has them: block by block of LANES units, a block's gates side by side."""
    runner = gates.Pass(cell, 64, engine_pass)
    G, L = GATES[cell], engine_pass.lanes
    # The same numbers as in the plain loop's layout: row by row (512 / 64), and in a row block by block.
    plain = np.array(runner.values)

    def blocks(sums):
        return sums.reshape(G, gates.UNITS // L, L).swapaxes(0, 1).reshape(G, -1)

    runner.values[:G], runner.values[G : 2 * G] = blocks(plain[:G]), blocks(plain[G : 2 * G])
    expected = _expected(cell, plain)
    assert runner.sample(2, 3).shape == (3,)
    np.testing.assert_allclose(runner.values[2 * G + 2 :][: len(expected)], expected, atol=5e-7)


def test_the_pass_is_built_as_the_engine_is():
    """Its flags are the engine's own, of the one table; how inlining is asked for stands in setup.py."""
    assert gates.INLINE.split("=", 1)[1] in (ROOT / "setup.py").read_text(encoding="utf-8")


# ---- points, suites, reports


def test_points_have_names_of_their_own():
    assert {point.cell for point in GRID} == {point.cell for point in QUICK} == set(CELLS)
    for points in (GRID, *suites.SUITES.values()):
        assert len({point.key for point in points}) == len(points)


def test_points_and_cells_are_chosen():
    def chosen(*words):
        return [point.key for point in measure.chosen_points(run.arguments(words))]

    assert chosen("--points", "T37-*") == ["gru-T37-N17-I200-H200", "lstm-T37-N17-I200-H200"]
    assert chosen("--points", "T37-*", "--cells", "lstm") == ["lstm-T37-N17-I200-H200"]
    assert chosen("--points", "gru-T37-*,lstm-T1-*-H512") == ["gru-T37-N17-I200-H200", "lstm-T1-N1-I512-H512"]
    assert chosen("--suite", "deepbench", "--cells", "rnn") == ["rnn-T672-N1-I32-H32", "rnn-T96-N1-I64-H64"]


def test_suites():
    """They are what the command line offers; and a suite is no record of the grid."""
    assert set(suites.SUITES) == set(run.SUITES)
    with pytest.raises(SystemExit):
        run.arguments(["--suite", "audio", "--quick"])


def test_a_suite_runs_without_goals_and_extras():
    options = run.arguments(
        ["--suite", "audio", "--points", "gru-T1-*-H4,lstm-T64-*-H8-L2", "--peers", "none", "--budget", "0.01"]
    )
    found = measure.measure(options)
    assert [point["key"] for point in found["points"]] == ["gru-T1-N1-I4-H4", "lstm-T64-N1-I1-H8-L2"]
    assert not found["goals"] and not found["extras"] and not found["points"][0]["failures"]
    assert "Goals" not in report.text(found) and "2 layers I=1 H=8" in report.text(found)


RECORDS = sorted((Path(bench.__file__).parent / "speed" / "results").rglob("results.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)
def test_every_record_can_be_reported(path, capsys):
    """That of before there were LSTMs too; its pictures stay."""
    found = results.read(path.parent)
    text = run.text(found)
    assert "GRU, one step, N=1" in text or found.get("suite")
    if "cell" not in found["points"][0]:
        assert run.write(found, path.parent, again=True) == []
