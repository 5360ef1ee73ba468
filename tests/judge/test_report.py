"""What is said of times: tables, JSON, a picture. The figures are made up."""

import json

import numpy as np
import pytest

from cgru.judge.fast import NULL, Fast, Options, Row, Times
from cgru.judge.points import Point
from cgru.judge.report import Report, digits, table
from cgru.judge.suites import PUBLISHED, SUITES


def times(ns, error=1e-7, instances=None):
    """Single calls of `ns`, one of ten times that; in a row 0.9 of it."""
    return Times(error, np.array([ns] * 199 + [10 * ns], float), [0.9 * ns] * 3, [ns] * 3, instances or {})


def made(points=None, suite=None, load=0.1, **more):
    """A run of two sizes, or of a suite, in which the contestant refuses the last point."""
    points = points or [Point(1, 1, size, size, "gru") for size in (8, 32)]
    rows = []
    for point in points:
        ns = 25.0 * point.H
        row = Row(point, limit={"ns": ns / 2}, published=PUBLISHED.get(point, []) if suite else [])
        row.times = {"mine": times(ns, 3e-7, {1: ns, 4: 1.5 * ns}), NULL: times(4, None), "cgru": times(ns / 3)}
        rows.append(row)
    del rows[-1].times["mine"]
    rows[-1].skipped["mine"] = "refused: cgru_judge_make gave NULL"
    options = Options(("gru", "lstm"), suite=suite, instances=(1, 4), **more)
    missing, machine = {"ONNX Runtime": "not installed (onnx)"}, {"cpu": "one of ours"}
    return Report(Fast("mine", rows, options, ["cgru"], missing, load, machine))


def test_the_table():
    text = made().text
    assert text.startswith("GRU, one step, I = H, one row; ns\n")
    header, first, second = (line.split("  ") for line in text.splitlines()[1:4])
    header, first = ([word.strip() for word in line if word.strip()] for line in (header, first))
    found = dict(zip(["", *header], first, strict=True))
    assert found == {
        "": "H=8", "median": "200", "p99": "200", "max/median": "10", "in a row": "180", "/limit": "1.8",
        "limit": "100", f"{NULL}, one by one": "4", NULL: "3.6", "cgru": "60", "error": "3e-07",
    }  # fmt: skip
    assert second[0].startswith("H=32") and "240" in text.splitlines()[3] and " - " in text.splitlines()[3]


def test_what_must_be_known():
    text = made().text
    assert "cgru: called from Python" in text and "ONNX Runtime: not installed (onnx)" in text
    assert "mine, 1 of 2 (GRU T=1 N=1 I=H=32): refused" in text
    assert "NOT A QUIET" not in text and "A quick run" not in text
    assert "GRU H=8" in text and "300 (1.50)" in text       # four models
    busy = made(load=1e3, quick=True).text
    assert "NOT A QUIET MACHINE: the load was 1000.0" in busy and "A quick run" in busy


def test_rounds_that_differ_are_said():
    report = made()
    for row in report.found.rows:
        for one in row.times.values():
            one.medians = [100.0, 150.0, 110.0]
    assert "differ by 45%" in report.text


def test_a_suite_and_what_others_published():
    report = made(SUITES["serving"], "serving")
    text = report.text
    assert text.startswith("suite serving: a call; us\n") and "None was measured here" in text
    line = next(line for line in text.splitlines() if line.startswith("GRU T=30 N=16 I=H=512") and "ORT 644" in line)
    assert "15,200" in line and "ONNX Runtime" in line
    assert "issue 644, 2019" in text and "github.com/apache/mxnet" in text
    assert "both ways" in text


def test_json():
    report = made(SUITES["serving"], "serving")
    found = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert found["machine"] == {"cpu": "one of ours"}
    assert found["suite"] == "serving" and found["called_from_python"] == ["cgru"]
    assert len(found["points"]) == len(SUITES["serving"])
    first, last = found["points"][0], found["points"][-1]
    assert first["times"]["mine"]["in_a_row"] == pytest.approx(0.9 * 25 * 512)
    assert first["published"][0]["ns"] == 10.5e6 and "2019" in first["published"][0]["source"]
    assert last["skipped"] == {"mine": "refused: cgru_judge_make gave NULL"} and "mine" not in last["times"]
    assert (last["directions"], last["T"], last["I"]) == (2, 128, 384)


def test_the_picture(tmp_path):
    pytest.importorskip("matplotlib")
    from cgru.judge.plot import figure

    points = [Point(1, 1, size, size, cell) for cell in ("gru", "lstm") for size in (8, 32, 64)]
    report = made(points)
    left, right = figure(report.found).axes
    assert left.get_xlabel() == right.get_xlabel() == "H, hidden units" and "ns" in left.get_ylabel()
    drawn = {line.get_label(): line.get_xydata().tolist() for line in left.lines}
    assert drawn["mine"] == [[8, 180], [32, 720], [64, 1440]] and drawn["limit of the machine"][1] == [32, 400]
    assert {"cgru, from Python", NULL} <= set(drawn)
    assert len(next(line for line in right.lines if line.get_label() == "mine").get_xdata()) == 2
    for suffix in ("png", "svg"):
        report.plot(tmp_path / f"times.{suffix}")
        assert (tmp_path / f"times.{suffix}").stat().st_size > 5000


def test_the_picture_of_a_suite():
    pytest.importorskip("matplotlib")
    from cgru.judge.plot import figure

    axes = figure(made(SUITES["audio"], "audio").found).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [point.key for point in SUITES["audio"]]
    others = next(line for line in axes.lines if "published" in line.get_label())
    assert [14.256, 0] in np.round(others.get_xydata(), 3).tolist() and "us" in axes.get_xlabel()


def test_nothing_timed_is_no_picture(tmp_path):
    pytest.importorskip("matplotlib")
    report = made()
    for row in report.found.rows:
        row.times.clear()
    with pytest.raises(ValueError, match="nothing was timed"):
        report.plot(tmp_path / "times.png")
    assert not (tmp_path / "times.png").exists() and "mine" in report.text


def test_numbers_and_columns():
    assert [digits(value) for value in (None, float("nan"), 0.123456, 12.345, 99.96, 1234.5)] == [
        "-", "-", "0.123", "12.3", "100", "1,234",
    ]  # fmt: skip
    assert table(["", "ns"], [["GRU", "7"], ["an LSTM", "1,234"]]) == "            ns\nGRU          7\nan LSTM  1,234"
