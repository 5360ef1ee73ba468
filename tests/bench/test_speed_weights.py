"""Quantised weights in the speed benchmark: who takes part and is right; the limit and its probe; a run, its report."""

import importlib.util

import numpy as np
import pytest

from bench.common import cbuild, environment
from bench.common.contestant import Absent
from bench.common.problem import Problem
from bench.speed import measure, run, weights_goals, weights_report
from bench.speed.grid import WEIGHTS_GRID, WEIGHTS_QUICK
from bench.speed.peers import WEIGHTS, cgru_engines, ncnn_int8, open_vino, torch_int8
from cgru import engines
from cgru.judge import limit
from cgru.judge.points import Point
from cgru.judge.probe import Probe

SHAPES = [(1, 1, 5, 19), (7, 1, 5, 19), (7, 3, 40, 100), (1, 1, 40, 100)]
PEERS = {
    "torch": (torch_int8.TorchInt8, "torch"),
    "ncnn": (ncnn_int8.NcnnInt8, "ncnn"),
    "openvino": (open_vino.OpenVinoBfloat16, "onnx"),
}


@pytest.fixture(scope="module")
def probe():
    try:
        return Probe()
    except cbuild.NoCompiler as error:
        pytest.skip(str(error))


# ---- contestants


def check(runner, problem, least, most):
    """Right to the error of rounded weights, no better and no worse; the second time after a run: it starts afresh."""
    for _ in range(2):
        error = abs(runner.result().reshape(problem.expected.shape) - problem.expected).max()
        assert least < error < most, runner.call
        assert (runner.sample(3, 2) > 0).all()


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("shape", SHAPES)
def test_cgru_is_right_and_quantised(shape, cell):
    problem = Problem(Point(*shape, cell))
    for kind in (cgru_engines.CgruBfloat16, cgru_engines.CgruInt8):
        contestant = kind()
        assert contestant.model(problem).weight_dtype == kind.weight_dtype
        for runner in contestant.runners(problem):
            check(runner, problem, 1e-5, measure.CGRU_TOLERANCE[kind.weight_dtype])


@pytest.mark.parametrize("name", PEERS)
def test_peers_are_right_and_quantised(name):
    kind, other = PEERS[name]
    if not all(importlib.util.find_spec(module) for module in (name, other)):
        pytest.skip(f"{name} or {other} is not installed")
    try:
        contestant = kind()
    except Absent as error:
        pytest.skip(str(error))
    for shape in SHAPES:
        for cell in ("gru", "lstm"):
            problem = Problem(Point(*shape, cell))
            for runner in contestant.runners(problem) if contestant.takes(problem.point) else []:
                check(runner, problem, 1e-5, 0.05)


def test_pytorch_is_called_by_each_of_its_engines():
    pytest.importorskip("torch")
    contestant = torch_int8.TorchInt8()
    before = contestant.torch.backends.quantized.engine
    step, sequence = (contestant.runners(Problem(Point(*shape))) for shape in SHAPES[:2])
    assert [runner.call.split("  # ")[1] for runner in sequence] == contestant.engines
    assert len({runner.call for runner in step}) == len(step) == 2 * len(contestant.engines)
    assert contestant.torch.backends.quantized.engine == before


def test_ncnn_has_no_rows():
    pytest.importorskip("ncnn")
    contestant = ncnn_int8.NcnnInt8()
    assert contestant.takes(Point(7, 1, 5, 19)) and not contestant.takes(Point(7, 2, 5, 19))
    assert not contestant.takes(Point(7, 1, 5, 19, layers=2)) and not contestant.takes(Point(7, 1, 5, 19, "rnn"))


def test_float32_comes_first_and_every_type_has_a_tolerance():
    assert WEIGHTS[0] is cgru_engines.CgruPacked and WEIGHTS[0].weight_dtype == "float32"
    types = {kind.weight_dtype for kind in WEIGHTS}
    assert types == set(limit.WEIGHT_BYTES) == set(measure.TOLERANCE) == set(measure.CGRU_TOLERANCE)
    assert {kind.name for kind in WEIGHTS} >= {weights_goals.CGRU, *weights_goals.ACCURACY, weights_goals.TORCH}


class _Off(cgru_engines.CgruInt8):
    """An answer with noise of this size."""

    noise = 0.0

    def runners(self, problem):
        found = super().runners(problem)[:1]
        for runner in found:
            right = runner.result
            runner.result = lambda right=right: right() + np.float32(self.noise)
        return found


@pytest.mark.parametrize("noise, timed", [(0.0, True), (0.019, False)])
def test_cgru_is_held_to_its_own_tolerance(noise, timed, monkeypatch):
    """2e-2, of which rounding takes a part; a peer is let off with 0.05."""
    monkeypatch.setattr(_Off, "noise", noise)
    both = {"cgru packed": cgru_engines.CgruPacked(), "off": _Off()}
    found = measure.measure_point(Point(7, 3, 40, 100), both, 0.005)
    assert ("off" in found["contestants"]) is timed
    assert timed or "tolerance 2e-02" in found["failures"]["off"]
    monkeypatch.setattr(_Off, "name", "off")
    found = measure.measure_point(Point(7, 3, 40, 100), {"off": _Off()}, 0.005)
    record = found["contestants"]["off"]
    assert record["weight_dtype"] == "int8" and 0 < record["rms"] <= record["error"] < 0.05


# ---- the limit


@pytest.mark.parametrize("weight_dtype, each", [("float32", 4), ("bfloat16", 2), ("int8", 1)])
def test_the_limit_reads_what_is_stored(weight_dtype, each):
    """A step is bound by its bytes, at the bandwidth of their footprint; flops stay what they are."""
    found = limit.limit(Point(1, 1, 40, 100), 1000.0, {each * 300 * 140: 50.0}.__getitem__, weight_dtype)
    assert found["bytes"] == each * 300 * 140 and found["flops"] == 2 * 300 * 140
    assert found["bound"] == "bytes" and found["ns"] == pytest.approx(each * 300 * 140 / 50)
    assert limit.footprints(Point(1, 1, 40, 100), weight_dtype) == {each * 300 * 140}
    speeds = {each * 400 * 100: 50.0, each * 400 * 40: 80.0}
    found = limit.limit(Point(10, 8, 40, 100, "lstm"), 100.0, speeds.__getitem__, weight_dtype)
    inputs, flops = 10 * 8 * 2 * 400 * 40 / 100, 10 * 8 * 2 * 400 * 100 / 100
    assert found["inputs_ns"] == pytest.approx(inputs) and found["ns"] == pytest.approx(inputs + flops)


def test_each_type_has_its_own_peak_and_footprints(probe):
    point = Point(1, 1, 40, 100)
    watch = probe.watch(point, ("float32", "bfloat16", "int8"))
    for _ in range(3):
        watch.look()
    assert set(watch.speeds) == {each * 300 * 140 for each in (1, 2, 4)} and min(watch.dot_peaks) > 0
    watch.peaks[:], watch.dot_peaks[:] = [100.0] * 3, [1.0, 2.0, 3.0]
    for size, speeds in watch.speeds.items():
        speeds[:] = [size / 1000] * 3
    assert watch.limit(point, "bfloat16")["gflops"] == 100.0 and watch.limit(point, "bfloat16")["ns"] == 1000
    found = watch.limit(point, "int8")
    assert found["gflops"] == 2.0 and found["bound"] == "flops" and found["ns"] == 2 * 300 * 140 / 2.0
    assert list(found["gb_per_s"]) == [str(300 * 140)]
    assert not probe.watch(point).dot_peaks


def test_the_probe_multiplies_bytes(probe):
    """Four products a sum, the largest without saturation."""
    for u, w in ((3, -5), (127, 127), (127, -127), (0, 9)):
        assert probe._library.probe_dot_once(u, w) == 4 * u * w
    assert probe.dot_form and probe.glance_dot_peak() > 0.5


@pytest.mark.parametrize("isa", [name for name in engines.isas_usable() if name.startswith("x86-64-v")])
def test_the_probe_of_an_instruction_set(isa):
    """VNNI, vectors and all are those of the set, not of the processor."""
    try:
        held = Probe(isa)
    except cbuild.NoCompiler as error:
        pytest.skip(str(error))
    assert ("vpdpbusd" in held.dot_form) == isa.endswith("vnni")
    assert held.vector_bits == (512 if "v4" in isa else 256 if "v3" in isa else 128)
    assert f"{held.vector_bits} bits" in held.dot_form
    assert held._library.probe_dot_once(127, -127) == -4 * 127 * 127


# ---- the run


def test_the_grid():
    shapes = {(point.T, point.N) for point in WEIGHTS_GRID}
    assert shapes == {(1, 1), (100, 1), (100, 8), (100, 32)}
    assert {point.H for point in WEIGHTS_GRID if point.I == point.H} == {32, 64, 128, 256, 512, 1024}
    assert {(p.I, p.H) for p in WEIGHTS_GRID if p.I != p.H} == {(40, 100)}
    assert len({point.key for point in WEIGHTS_GRID}) == len(WEIGHTS_GRID) == 2 * 4 * 7
    assert {point.key for point in WEIGHTS_QUICK} <= {point.key for point in WEIGHTS_GRID}


@pytest.mark.parametrize(
    "words",
    [
        ["--weights", "--suite", "audio"], ["--weights", "--jitter"], ["--isa", "x86-64-v3"],
        ["--weights", "--quick", "--record"],
    ],
)  # fmt: skip
def test_options_that_do_not_go_together(words, capsys):
    with pytest.raises(SystemExit):
        run.arguments(words)
    assert "error" in capsys.readouterr().err


def test_a_record_has_a_place_of_its_own():
    assert run.part(run.arguments(["--weights", "--record"])) == ["weights"]
    assert run.part(run.arguments(["--weights", "--isa", "x86-64-v3"])) == ["weights", "x86-64-v3"]
    assert run.part(run.arguments(["--suite", "audio"])) == ["audio"] and run.part(run.arguments([])) == []


def test_what_an_instruction_set_is_forced_by():
    assert environment.forced(None) == {} and environment.forced("x86-64-v2") == {"CGRU_ISA": "x86-64-v2"}
    found = environment.forced("x86-64-v3")
    assert found.pop("CGRU_ISA") == "x86-64-v3" and set(found.values()) == {"avx2", "AVX2"} and len(found) == 3


def test_a_short_run_and_its_report():
    options = run.arguments(
        ["--weights", "--points", "gru-T1-N1-I32-H32,lstm-T100-N8-I40-H100", "--peers", "none", "--budget", "0.01"]
    )
    found = measure.measure(options)
    assert [point["key"] for point in found["points"]] == ["gru-T1-N1-I32-H32", "lstm-T100-N8-I40-H100"]
    assert found["isa"] == {"name": engines.isa(), "usable": list(engines.isas_usable()), "forced": False}
    assert not found["extras"] and len(found["goals"]) == len(weights_goals.evaluate(found))
    for point in found["points"]:
        assert set(point["contestants"]) == {weights_goals.CGRU, *weights_goals.ACCURACY} and not point["failures"]
        if "limit" in point:
            for name, record in point["contestants"].items():
                stored = record.get("weight_dtype", "float32")
                least = point["limit"] if stored == "float32" else point["limits"][stored]
                assert record["to_limit"] == pytest.approx(record["median"] / least["ns"]), name
    text = run.text(found)
    assert "GRU, one step, N=1" in text and "LSTM, sequences of 100 steps, N=8" in text and "Goals:" in text
    assert f"instruction set {engines.isa()};" in text and "RMS error" in text
    record = found["points"][1]["contestants"][weights_goals.INT8]
    (line,) = [line for line in text.split("LSTM, sequences")[1].splitlines() if line.strip().startswith("cgru int8")]
    assert line.split()[-2:] == [f"{record['error']:.1e}", f"{record['rms']:.1e}"]
    found["isa"] |= {"name": "x86-64-v3", "usable": ["x86-64-v4", "x86-64-v3"], "forced": True}
    assert "instruction set x86-64-v3 (FORCED" in weights_report.text(found)
