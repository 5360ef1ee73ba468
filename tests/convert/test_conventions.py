"""The table of what each system means by a GRU or an LSTM, and the way from there to canonical rows."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cgru import convert
from cgru.cells import CELLS
from cgru.convert import conventions

INPUT, H = 3, 5


def test_every_converter_has_its_conventions():
    systems = {place.rpartition(".")[2] for place in convert.DOORS.values()}
    assert systems <= set(conventions.CONVENTIONS)
    for name, convention in conventions.CONVENTIONS.items():
        assert sorted(convention.order) in ([], ["n", "r", "z"]), name
        assert convention.after or convention.before, name
        assert sorted(convention.lstm) in ([], ["f", "g", "i", "o"]), name
        assert bool(convention.lstm) == bool(convention.lstm_biases), name


@pytest.mark.parametrize("order", ["rzn", "zrn", "nzr", "znr", "rnz", "nrz"])
def test_reorder_and_negate(rng, order):
    """Rows of any leading size, and the way back by hand."""
    parts = {gate: rng.normal(size=(H, INPUT)) for gate in "rzn"}
    stacked = np.concatenate([parts[gate] for gate in order])
    canonical = np.concatenate([parts[gate] for gate in "rzn"])
    assert_array_equal(conventions.reorder(stacked, order), canonical)
    negated = conventions.negate_z(canonical)
    assert_array_equal(negated, np.concatenate([parts["r"], -parts["z"], parts["n"]]))
    assert_array_equal(conventions.negate_z(negated), canonical)


@pytest.mark.parametrize("name", ["torch", "keras", "onnx", "haiku", "tensorflow1", "mlx", "rtneural", "paddle"])
def test_a_convention_makes_rows_canonical(rng, name):
    convention = conventions.CONVENTIONS[name]
    parts = {gate: rng.normal(size=(H, INPUT)) for gate in "rzn"}
    sign = 1 if convention.z_keeps else -1
    stacked = np.concatenate([parts[gate] for gate in convention.order])
    expected = np.concatenate([parts["r"], sign * parts["z"], parts["n"]])
    assert_array_equal(convention.canonical(stacked, CELLS["gru"]), expected)
    assert_array_equal(convention.canonical(parts["r"], CELLS["rnn"]), parts["r"])
    if convention.lstm:
        parts = {gate: rng.normal(size=(H, INPUT)) for gate in "ifgo"}
        stacked = np.concatenate([parts[gate] for gate in convention.lstm])
        assert_array_equal(convention.canonical(stacked, CELLS["lstm"]), np.concatenate(list(parts.values())))


@pytest.mark.parametrize("name, order", [("torch", "ifgo"), ("keras", "ifgo"), ("onnx", "iofg"), ("haiku", "igfo")])
def test_the_order_of_an_lstm_s_gates(name, order):
    """Letters here; what other systems call c, c~ or j is g."""
    assert conventions.CONVENTIONS[name].lstm == order
    assert conventions.CONVENTIONS[name].order_of(CELLS["lstm"]) == order
    assert conventions.CONVENTIONS[name].name in conventions.systems(order=order, most=99).split(", ")


def test_what_is_added_to_the_forget_gate():
    for dtype, out in ((np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64), (int, np.float32)):
        bias = np.arange(12).astype(dtype)
        added = conventions.add_to_forget(bias, CELLS["lstm"], 0.5)
        assert added.dtype == out
        assert_array_equal(added, bias + np.repeat([0, 0.5, 0, 0], 3))
