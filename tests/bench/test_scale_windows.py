"""The benchmark of windows: its networks, answers, figures, verdicts, its command."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bench.scale import windows, windows_contestants, windows_goals, windows_measure, windows_models, windows_report
from bench.scale.windows_contestants import AFRESH, NULL, ORT, STREAM, WINDOW, Contestant, Member
from cgru import engines
from cgru.judge.points import Point
from support import chains, reference
from support.peers import peer

SMALL = Point(5, 1, 6, 9, "lstm", 2)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A shape that takes no time, in A's place."""
    monkeypatch.setitem(windows_models.POINTS, "A", SMALL)
    monkeypatch.setattr(windows_measure, "FEWEST", 60)


# ---- networks and answers


def test_the_shapes_are_those_that_figures_are_published_for(monkeypatch):
    monkeypatch.undo()
    sizes = {letter: (p.T, p.I, p.layers, p.H) for letter, p in windows_models.POINTS.items()}
    assert sizes == {"A": (50, 100, 2, 100), "B": (100, 250, 3, 200), "C": (100, 500, 4, 1000)}
    assert set(windows.SHAPES) == set(sizes)
    net = windows_models.network("A", "int8", 3)
    lstm, head = net.layers
    assert (lstm.input_size, lstm.num_layers, lstm.hidden_size, net.output_size) == (100, 2, 100, 1)
    assert (lstm.engine, lstm.weight_dtype, head.weight_dtype, net.last) == ("packed", "int8", "int8", True)


def test_models_differ_and_repeat():
    nets = [windows_models.network("A", "float32", number).state_dict() for number in (0, 1, 0)]
    for name, values in nets[0].items():
        assert values.all() and (values != nets[1][name]).all()
        assert_array_equal(values, nets[2][name])
    x = [windows_models.samples("A", 7, number) for number in (0, 1)]
    assert x[0].shape == (7, 6) and x[0].dtype == np.float32 and (x[0] != x[1]).all()


@pytest.mark.parametrize("weights", windows_models.WEIGHTS)
def test_right_answers(weights, monkeypatch):
    """Of every window, and of every step of one sequence; in float64 those of the tests' own oracle."""
    monkeypatch.setattr(windows_models, "ROWS", 4)      # the last block is a short one
    net, x = windows_models.network("A", weights), windows_models.samples("A", 14)
    lstm, head = (layer.state_dict() for layer in net.layers)

    def truth(sequence):
        y, _ = reference.lstm(sequence, lstm)
        return chains.linear(y, **head)

    exact, oracle = windows_models.by_itself(net, x, 5), windows_models.oracle(net, x, 5)
    assert exact.shape == oracle.shape == (10, 1)
    for at in range(10):
        assert_array_equal(exact[at], net(x[at : at + 5])[0])
        assert_allclose(oracle[at], truth(x[at : at + 5])[-1], atol=1e-13)
    assert_allclose(windows_models.whole_oracle(net, x), truth(x), atol=1e-13)
    stream = net.stream()
    assert_array_equal(windows_models.whole(net, x), np.stack([stream.step(x_t) for x_t in x]))
    assert_allclose(exact, oracle, atol=0.3 * oracle.std() if weights == "int8" else 2e-6)


# ---- contestants


def test_who_takes_part():
    said = []
    nets, found = windows_contestants.contestants("A", said.append)
    assert {weights: len(group) for weights, group in nets.items()} == {"float32": 4, "bfloat16": 4, "int8": 4}
    seen = [(one.way, one.weights, one.models) for one in found]
    assert len(seen) == len(set(seen))
    assert {(WINDOW, weights, models) for weights in nets for models in (1, 2, 4)} <= set(seen)
    assert {(way, weights, 1) for weights in nets for way in (STREAM, AFRESH)} | {(NULL, "float32", 1)} <= set(seen)
    assert [way for way, _, _ in seen].count(ORT) == 2 - len(said)


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_onnx_runtime_computes_the_window(weights):
    peer("onnxruntime")
    net, x = windows_models.network("A", "float32"), windows_models.samples("A", 9)
    step, out = windows_contestants.onnx_runtime(net, 5, weights), np.empty(1, np.float32)
    expected = windows_models.oracle(net, x, 5)
    for at, y in enumerate(expected):
        step(x[at : at + 5], out)
        assert_allclose(out, y, atol=0.3 * expected.std() if weights == "int8" else 2e-6)
        assert weights == "float32" or abs(out - y) > 1e-9      # it does round its weights


def test_the_null_model_copies_in_and_out():
    null, out = windows_contestants.Null(6), np.full(1, np.nan, np.float32)
    null.y[...] = 7
    assert null.step(np.arange(6, dtype=np.float32), out) is out
    assert out == 7
    assert_array_equal(null.x, np.arange(6))


# ---- measuring


def recording(log, name):
    """A member that writes down what is asked of it."""

    def step(x, out):
        log.append((name, float(x.flat[0])))
        out[...] = x.flat[0] + 100 * name

    return Member(step, lambda: log.append((name, "settle")), lambda: log.append((name, "reset")))


def test_models_take_turns_and_settle_at_once():
    log = []
    one = Contestant(WINDOW, "float32", [recording(log, 1), recording(log, 2)])
    x = [list(np.arange(8, dtype=np.float32)[:, None] + start) for start in (0, 50)]
    run = windows_measure.Run(one, x, 8)
    run.take(1, counts=False)
    run.take(2)
    assert log == [
        (1, 0.0), (1, "settle"), (2, 50.0), (2, "settle"), (1, 1.0), (1, "settle"), (2, 51.0), (2, "settle"),
        (1, 2.0), (1, "settle"), (2, 52.0), (2, "settle"),
    ]  # fmt: skip
    assert run.counts.tolist() == [False, True, True] + [False] * 5
    assert_array_equal(run.y[1][:3, 0], [250, 251, 252])
    assert np.isnan(run.y[1][3:]).all()
    assert all((times[:3] > 0).all() and not times[3:].any() for times in (*run.steps, *run.settles))


def test_what_has_no_settle_is_timed_without():
    log = []
    one = Contestant(AFRESH, "float32", [Member(recording(log, 1).step)], needs=3)
    inputs = windows_measure.prepared(one, np.arange(12, dtype=np.float32).reshape(6, 2), 4)
    assert [each.tolist() for each in inputs[:2]] == [[[0, 1], [2, 3], [4, 5]], [[2, 3], [4, 5], [6, 7]]]
    run = windows_measure.Run(one, [inputs], 4)
    run.take(4)
    assert [name for name, _ in log] == [1] * 4 and not run.settles[0].any() and (run.steps[0] > 0).all()
    assert windows_measure.summary(run)["settle"] is None


def test_figures():
    """Percentiles of the samples that count, over all models; windows per second of steps and settles."""
    run = windows_measure.Run(
        Contestant(WINDOW, "int8", [recording([], 1), recording([], 2)]), [[0] * 1_010, [0] * 1_010], 1_010
    )
    run.counts[10:] = True
    for k, (steps, settles) in enumerate(zip(run.steps, run.settles, strict=True)):
        steps[:], settles[:] = np.arange(1_010) - 10 + 1_000 * k, 3_000
        steps[:10] = settles[:10] = 10**9
    found = windows_measure.summary(run)
    assert (found["samples"], found["models"], found["weights"]) == (2_000, 2, "int8")
    assert [found[name] for name in ("p50", "p99", "p99.9", "max")] == [1_000, 1_980, 1_998, 1_999]
    assert found["max_over_median"] == pytest.approx(1_999 / 999.5)
    assert found["settle"] == {"p50": 3_000, "p99": 3_000, "p99.9": 3_000, "max": 3_000}
    assert found["windows_per_second"] == pytest.approx(1e9 / (999.5 + 3_000))


def test_no_percentile_of_too_few():
    assert windows_measure.percentiles(np.arange(99)) == {"p50": 49, "p99": None, "p99.9": None, "max": 98}
    assert windows_measure.percentiles(np.arange(999))["p99.9"] is None
    assert windows_measure.percentiles(np.arange(1_000))["p99.9"] == 999


def answered(way, weights="float32", models=1):
    """A run of the small shape that was answered rightly, and what `compare` needs."""
    nets = {weights: [windows_models.network("A", weights, number) for number in range(models)]}
    x = [windows_models.samples("A", 24, number) for number in range(models)]
    one = Contestant(way, weights, [Member(None)] * models, needs=5 if way in (AFRESH, ORT) else 1,
                     expects="whole" if way == STREAM else "windows", exact=way != ORT)  # fmt: skip
    run = windows_measure.Run(one, [[None] * 20] * models, 20)
    for net, values, y in zip(nets[weights], x, run.y, strict=True):
        if way == STREAM:
            y[...] = windows_models.whole(net, values[:20])
        elif way == WINDOW:
            y[...] = np.stack([net(values[max(0, end - 5) : end])[0] for end in range(1, 21)])
        else:
            y[...] = windows_models.by_itself(net, values, 5)
    return run, windows_measure.Answers(nets, x, 5, [run])


@pytest.mark.parametrize("way", [WINDOW, STREAM, AFRESH, ORT])
def test_every_output_is_compared(way):
    """Of each model, from the first sample on: one bit is found, and against float64 what is not within rounding."""
    models = 2 if way == WINDOW else 1
    found = windows_measure.compare(*answered(way, models=models))
    assert found["outputs"] == 20 * models and 0 < found["error"] < 1e-6
    for place in (0, 3, 19):
        run, right = answered(way, models=models)
        y = run.y[-1][place]
        y[...] = np.nextafter(y, np.float32(9)) if way != ORT else y + np.float32(3e-6)
        with pytest.raises(SystemExit, match="differs from float64" if way == ORT else "1 of 20 outputs are not"):
            windows_measure.compare(run, right)
    run, right = answered(way, models=models)
    run.y[0][5] = np.nan
    with pytest.raises(SystemExit):
        windows_measure.compare(run, right)


def test_the_second_predictor_counts(monkeypatch):
    """What cgru itself finds right is still compared with float64."""
    (whole, full), (other, oracle) = windows_measure.PREDICTORS
    wrong = (other, lambda *arguments: oracle(*arguments) + 1e-5)
    monkeypatch.setattr(windows_measure, "PREDICTORS", ((whole, full), wrong))
    run, right = answered(WINDOW)
    with pytest.raises(SystemExit, match=r"cgru, window.step, float32, model 0: differs from float64 by 1\.0e-05"):
        windows_measure.compare(run, right)


# ---- goals, report, command


def shapes(**changes):
    """A run's figures, ns: way and weights -> p50, p99."""
    figures = {
        (WINDOW, "float32"): (7_000, 8_000), (STREAM, "float32"): (6_500, 7_000), (WINDOW, "int8"): (3_000, 4_500),
        (ORT, "float32"): (310_000, 400_000), (ORT, "int8"): (301_000, 350_000),
    } | {tuple(name.split("_")): value for name, value in changes.items()}  # fmt: skip
    found = [{"way": way, "weights": weights, "models": 1, "p50": value[0], "p99": value[1]}
             for (way, weights), value in figures.items() if value]  # fmt: skip
    decoy = {"way": WINDOW, "weights": "int8", "models": 4, "p50": 1.0, "p99": 1e9}
    return [{"shape": "B", "contestants": [decoy]}, {"shape": "A", "contestants": [*found, decoy]}]


@pytest.mark.parametrize(
    ("changes", "int8", "met"),
    [
        ({}, "VNNI", [True, True, None, True, True, True]),
        ({}, "AVX2", [True, None, True, None, True, True]),
        ({}, None, [True, None, None, None, True, True]),
        ({"window_float32": (7_480, 9_000)}, "VNNI", [False, True, None, True, True, True]),
        ({"window_int8": (3_600, 4_600)}, "VNNI", [True, False, None, True, True, False]),
        ({"window_int8": (5_100, 9_000)}, "AVX2", [True, None, False, None, True, False]),
        ({"window_int8": (3_005, 4_800)}, "VNNI", [True, True, None, False, True, True]),
        ({"window_float32": (None, None)}, "VNNI", [None, True, None, True, None, True]),
        ({"window_float32": (7_700, 9_000), "stream_float32": (6_700, 8_000)}, "VNNI", [True, True, None, *[True] * 3]),
    ],
)
def test_goals(changes, int8, met):
    changes = {name: None if value == (None, None) else value for name, value in changes.items()}
    *counting, beside = windows_goals.evaluate(shapes(**changes), int8)
    assert [goal["met"] for goal in counting] == met and beside["met"] is None


def test_onnx_runtime_s_int8_counts_where_it_has_that():
    found = shapes(**{f"{ORT}_int8": (299_000, 350_000)})
    goals = windows_goals.evaluate(found, "VNNI")[-3:]
    assert [goal["met"] for goal in goals] == [True, False, None]
    assert [goal["figure"] for goal in goals] == pytest.approx([310 / 7, 299 / 3, 310 / 3])
    *_, counts, beside = windows_report.verdicts({"goals": goals})
    assert counts.endswith("99.67, at least 100: MISS") and beside.endswith("103.33, at least 100: does not count")
    without = shapes(**{f"{ORT}_int8": None})
    assert [goal["met"] for goal in windows_goals.evaluate(without, "VNNI")][-3:] == [True, None, True]
    assert [goal["met"] for goal in windows_goals.evaluate(found[:1], "VNNI")] == [None] * 7
    assert [goal["met"] for goal in windows_goals.evaluate(found, "VNNI", forced=True)][-3:] == [None] * 3


def test_what_int8_products_are_made_of():
    expected = {"x86-64-v4-vnni": "VNNI", "x86-64-v4": "AVX2", "x86-64-v3-vnni": "VNNI", "x86-64-v3": "AVX2"}
    for isa in engines.isas_usable():
        with engines.using(isa):
            assert windows_goals.products() == expected.get(isa)


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(windows_measure, "MOST", 1_200)
    assert windows.main(["--shapes", "a", "--seconds", "0.02", "--output", str(tmp_path / "new")]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    found = json.loads((tmp_path / "new" / "results.json").read_text())
    (shape,) = found["shapes"]
    assert (shape["shape"], shape["T"], shape["I"], shape["layers"], shape["H"]) == ("A", 5, 6, 2, 9)
    assert len(found["goals"]) == 7 and found["clock_ns"] > 0
    for one in shape["contestants"]:
        assert one["way"] in (AFRESH, ORT) or one["samples"] >= 60
        assert one["samples"] >= 20 and 0 < one["p50"] <= one["max"]
        assert (one["windows_per_second"] is None) == (one["way"] in (NULL, STREAM))
        assert (one["settle"] is None) == (one["way"] != WINDOW)
        assert one["outputs"] >= one["samples"] or one["way"] == NULL
        assert one["name"] in output
    assert "LSTM_A-shaped: T=5" in output and "windows/s" in output and "settle p50" in output
    if "no picture" not in output:
        assert (tmp_path / "new" / "windows.png").read_bytes()[:4] == b"\x89PNG"


def test_published_figures_are_shown_with_their_sources():
    shape = {
        "published": [
            {"ns": 4_700.0, "what": "a GPU, p99", "source": "one"},
            {"ns": 35_200.0, "what": "another", "source": "one"},
            {"ns": 570_000.0, "what": "a library", "source": "two"},
        ]
    }  # fmt: skip
    lines = list(windows_report.published(shape))
    assert "by others" in lines[0] and "4.70  a GPU, p99" in lines[1] and "570.00" in lines[3]
    assert [line.strip() for line in lines[4:]] == ["(one)", "(two)"]


def test_bad_arguments(capsys):
    for arguments in (["--shapes", "D"], ["--shapes", ""], ["--seconds", "0"], ["--record"]):
        with pytest.raises(SystemExit):
            windows.main(arguments)
        errors = capsys.readouterr().err
        assert arguments[0] in errors
    assert "run.py --parts windows --record" in errors
    assert windows.arguments(["--shapes", "c,LSTM_A"]).shapes == ["A", "C"]
