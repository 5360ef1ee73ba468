"""The first question of the judge, with contestants written in NumPy in the place of the child process."""

import numpy as np
import pytest

from cgru.activations import plain
from cgru.cells import CELLS
from cgru.judge import host
from cgru.judge.cases import CASES, run
from cgru.judge.right import LIMIT, right


@pytest.fixture
def cases():
    """Few of them: one unit, several rows, one row, lengths, a zero state, saturated gates."""
    ends = ("h1_i3", "h5_i3", "h15_i6", "h33_i12", "lengths", "zero_state", "saturated")
    return [case for case in CASES() if case.name.endswith(ends) or not case.is_usual]


def contestant(monkeypatch, *, change=None, without=(), after=None, kinds=tuple(CELLS), most_rows=99, zero=False,
               h_0=1, c_0=1, y_of=lambda y, H, way: y):  # fmt: skip
    """One that computes in float64 with these deviations, and counts its calls."""
    calls = []

    def computed(self, layer, cell, x, h, c=None, *, reset_after=True, way="step", **options):
        calls.append((cell, way, x.shape[1]))
        assert h.shape == (x.shape[1], layer["weight_hh_l0"].shape[1]) and (c is None) == (cell != "lstm")
        if cell not in kinds:
            return host.Result("refused", "make gave NULL")
        if x.shape[1] > most_rows or (zero and h.any()):
            return host.Result("refused", "rows" if x.shape[1] > most_rows else "state")
        weights = {name: array.copy() for name, array in layer.items()}
        for array in weights.values():
            if change is not None:
                change(cell, array, len(array) // CELLS[cell].stacked)
        for name in without:
            weights[name][:] = 0
        states = [h * h_0] + ([] if c is None else [c * c_0])
        form = {"reset_after": reset_after if after is None else after, "z_keeps": True}
        y, _ = run(CELLS[cell], weights, x, states, None, plain(CELLS[cell].functions), **form)
        y = y_of(y.astype(np.float32), h.shape[1], way)
        return y if isinstance(y, host.Result) else host.Result("ok", "", y)

    monkeypatch.setattr(host, "run", computed)
    return type("InNumPy", (), {"calls": calls})()


def group(found, name):
    return next(one for one in found.groups if one.name == name)


def test_right(monkeypatch, cases):
    """Every kind that the interface has, each case stepped and run, with nothing said but the error."""
    one = contestant(monkeypatch)
    seen = []
    found = right(one, cases, progress=lambda done, total: seen.append((done, total)))
    assert found.passed and [one.name for one in found.groups] == [
        "GRU, reset after", "GRU, reset before", "LSTM", "RNN",
    ]  # fmt: skip
    usable = [case for case in cases if case.is_usual and case.z_keeps is not False]
    assert len(one.calls) == 2 * len(usable) and seen == [(n + 1, len(usable)) for n in range(len(usable))]
    assert all(outcome.verdict == "right" and outcome.error < 1e-6 for one in found.groups for outcome in one.outcomes)
    lines = found.text.splitlines()
    assert lines[0].startswith("GRU, reset after: 7 of 7 cases right, largest error ") and len(lines) == 8
    assert lines[1] == "  run: the bits of step"
    assert found.as_dict()["passed"] and found.as_dict()["groups"][2]["run_off_step"] == 0


def test_kinds_and_quick(monkeypatch):
    one = contestant(monkeypatch)
    found = right(one, kinds=["lstm"], quick=True)
    assert [each.name for each in found.groups] == ["LSTM"] and {cell for cell, *_ in one.calls} == {"lstm"}
    assert len(found.groups[0].outcomes) == 16
    one.fixed = True        # compiled for each shape: no more than that either
    assert len(right(one, kinds=["lstm"]).groups[0].outcomes) == 16


def negated_z(cell, array, H):
    if cell == "gru":
        array[H : 2 * H] *= -1


def exchanged(cell, array, H):
    if cell != "rnn":
        array[: 2 * H] = np.concatenate([array[H : 2 * H], array[:H]])


def transposed(cell, array, H):
    """U, gate by gate: in the cases I is another number than H."""
    if array.ndim == 2 and array.shape[1] == H:
        for gate in range(len(array) // H):
            array[gate * H : gate * H + H] = array[gate * H : gate * H + H].T.copy()


@pytest.mark.parametrize(("deviation", "kind", "says"), [
    ({"change": negated_z}, "GRU, reset after", r"it computes with z in the other sense"),
    ({"change": exchanged}, "GRU, reset after", "gates stacked z, r, n"),
    ({"change": exchanged}, "LSTM", "gates stacked f, i, g, o"),
    ({"after": False}, "GRU, reset after", "the reset gate before the recurrent product, reset_after=False"),
    ({"after": True}, "GRU, reset before", "the reset gate after the recurrent product, reset_after=True"),
    ({"h_0": 0}, "GRU, reset after", "it computes with the initial state left out"),
    ({"h_0": 0, "c_0": 0}, "LSTM", "it computes with the initial state left out"),
    ({"h_0": 0}, "LSTM", "the initial state h_0 left out"),
    ({"c_0": 0}, "LSTM", "the initial cell state c_0 left out"),
    ({"h_0": 0, "change": negated_z}, "GRU, reset before", "with the initial state left out, and z in the other sense"),
    ({"h_0": 0, "change": transposed}, "LSTM", "with the initial state h_0 left out, and U transposed gate by gate"),
    ({"without": ["bias_hh_l0"]}, "LSTM", "it computes with b_hh left out"),
    ({"without": ["bias_ih_l0"]}, "GRU, reset after", "it computes with b_ih left out"),
    ({"without": ["bias_hh_l0", "bias_ih_l0"]}, "GRU, reset before", "it computes with both biases left out"),
    ({"without": ["bias_hh_l0"], "h_0": 0}, "RNN", "it computes with the initial state left out, and b_hh left out"),
    ({"without": ["bias_hh_l0"], "change": negated_z}, "GRU, reset after", "with b_hh left out, and z in the other "),
    ({"y_of": lambda y, H, way: y + np.float32(3e-5)}, "RNN", "no convention: digits are lost"),
    ({"y_of": lambda y, H, way: y * (H != 33)}, "RNN", "no convention, for most cases are right"),
    ({"y_of": lambda y, H, way: y[::-1] * y}, "RNN", "unexplained: tried were the conventions"),
])  # fmt: skip
def test_what_was_misread(monkeypatch, cases, deviation, kind, says):
    name = kind.partition(",")[0].lower()
    found = right(contestant(monkeypatch, **deviation), cases, kinds=[name])
    assert not found.passed
    wrong = group(found, kind)
    assert wrong.failed and says in wrong.misread
    assert f"  misread: {wrong.misread}" in found.text.splitlines()
    worst = max(outcome.error for outcome in wrong.failed)
    assert worst > LIMIT and f"largest error {worst:.2g} (at most 1e-05 is right)" in found.text


def test_wrong_in_one_size_is_named(monkeypatch, cases):
    found = right(contestant(monkeypatch, y_of=lambda y, H, way: y * (H != 33)), cases, kinds=["gru"])
    assert "GRU, reset after: 6 of 7 cases right" in found.text and "  wrong in gru_after_keeps_h33_i12" in found.text


def test_what_it_refuses_is_not_wrong(monkeypatch, cases):
    found = right(contestant(monkeypatch, kinds=["lstm"]), cases)
    assert found.passed and "GRU, reset after: refused (make gave NULL)" in found.text.splitlines()
    nothing = right(contestant(monkeypatch, kinds=[]), cases)
    assert not nothing.passed and nothing.text.endswith("it did none of the cases")


def test_rows_one_by_one_and_from_zero(monkeypatch, cases):
    """Still held against float64, from zeros: what it refuses is said."""
    one = contestant(monkeypatch, most_rows=1, zero=True, kinds=["gru"])
    found = right(one, cases, kinds=["gru"])
    assert found.passed and "7 of 7 cases right" in found.text
    assert found.text.count("rows were given one by one") == found.text.count("from zero states alone") == 2
    wrong = right(contestant(monkeypatch, most_rows=1, zero=True, change=negated_z), cases, kinds=["gru"])
    assert not wrong.passed and "z in the other sense" in group(wrong, "GRU, reset after").misread


def spoilt(value, *, ways=("step", "run")):
    def y_of(y, H, way):
        y = y.copy()
        if way in ways and H == 15:
            y[3, 0, 7] = value
        return y

    return y_of


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_a_verdict_with_its_place(monkeypatch, cases, value):
    found = right(contestant(monkeypatch, y_of=spoilt(value)), cases, kinds=["gru"])
    assert not found.passed
    line = f"  gru_after_keeps_h15_i6, step: nan: gives {value} first at step 3, row 0, unit 7"
    assert line in found.text.splitlines()
    assert not group(found, "GRU, reset after").misread


def test_padding_is_not_looked_at(monkeypatch, cases):
    """Past a row's length anything may come out."""
    def y_of(y, H, way):
        y = y.copy()
        if H == 10:
            y[1:, 4] = np.nan       # this row's length is 1
        return y

    assert right(contestant(monkeypatch, y_of=y_of), cases, kinds=["lstm"]).passed


def test_run_and_step_differ(monkeypatch, cases):
    """A little: said. Much: wrong, though step is right."""
    def off(by):
        return lambda y, H, way: y + np.float32(by if way == "run" else 0)

    found = right(contestant(monkeypatch, y_of=off(1e-6)), cases, kinds=["rnn"])
    assert found.passed and "  run: off step by at most 1e-06" in found.text
    assert 5e-7 < found.as_dict()["groups"][0]["run_off_step"] < 2e-6
    found = right(contestant(monkeypatch, y_of=off(1e-3)), cases, kinds=["rnn"])
    assert not found.passed and "RNN: 0 of 7 cases right" in found.text and ", run, at step" in found.text


def test_a_contestant_that_crashes_is_asked_no_more_than_three_times(monkeypatch, cases):
    one = contestant(monkeypatch, y_of=lambda y, H, way: host.Result("crashed", "signal 11"))
    found = right(one, cases, kinds=["gru"])
    assert not found.passed and len(one.calls) == 2 * 3
    assert found.text.count("crashed: signal 11") == 6
    assert "  4 cases were not asked, after so many failures" in found.text.splitlines()
    assert "GRU, reset after: 0 of 3 cases right" in found.text


def test_a_contestant_that_hangs_is_asked_once(monkeypatch, cases):
    one = contestant(monkeypatch, y_of=lambda y, H, way: host.Result("hung", "after 20 s"))
    assert not right(one, cases, kinds=["lstm"]).passed and len(one.calls) == 1
