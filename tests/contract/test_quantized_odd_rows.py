"""NaN and infinity in what quantised models read: where they go, and that other rows keep their bits."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from support.compare import assert_same_bits, flat
from support.models import build, draw, on_planes, planes, row_of
from support.models import configuration as named

forms = pytest.mark.configurations(layout="one layer")


@pytest.mark.variants(weights="int8")
@pytest.mark.configurations(streams=True)
def test_no_number_in_x(variant, configuration, rng):
    """The whole row is NaN from that step on, in y and in the state; the others keep their bits. Whole and stepped."""
    steps, rows = 6, 9
    model = build(variant, configuration, 5, 33)
    x, hx = draw(variant, rng, model, steps, rows)
    clean, end = model(x, hx)
    places = {1: (2, np.nan), 4: (0, np.inf), 8: (5, -np.inf)}      # row: step, number
    for row, (t, odd) in places.items():
        x[t, row, 4 - row // 2] = odd
    others = [row for row in range(rows) if row not in places]

    def check(y, final):
        assert_same_bits((y[:, others], row_of(final, others)), (clean[:, others], row_of(end, others)))
        for row, (t, _) in places.items():
            assert_same_bits(y[:t, row], clean[:t, row])
            assert np.isnan(y[t:, row]).all()
            assert all(np.isnan(plane[:, row]).all() for plane in planes(final))

    check(*model(x, hx))
    check(*model(x, hx, threads=3))
    check(*model(x, hx, lengths=[steps] * rows))
    stream = model.stream(rows, hx)
    check(np.stack([stream.step(x_t) for x_t in x]), stream.state)
    stream.reset(hx)
    check(np.concatenate([stream.run(x[:2]), stream.run(x[2:])]), stream.state)
    for row in (1, 2):
        y, _ = model(x[:, row], row_of(hx, row))
        assert np.isnan(y).any() == (row == 1)
        assert_array_equal(np.isnan(y), np.isnan(model(x, hx)[0][:, row]))


@pytest.mark.variants(weights="int8")
@forms
def test_no_number_in_the_state(variant, configuration, rng):
    """A NaN in one unit of h makes every unit NaN; one in an LSTM's c that unit, and from the next step on all."""
    model = build(variant, configuration, 5, 33)
    x, hx = draw(variant, rng, model, 4, 9)
    clean, _ = model(x, hx)
    for number, plane in enumerate(planes(hx)):
        changed = on_planes(hx, np.copy)
        planes(changed)[number][0, 3, 7] = np.nan
        y, _ = model(x, changed)
        assert_same_bits(np.delete(y, 3, 1), np.delete(clean, 3, 1))
        assert np.isnan(y[1:, 3]).all()
        assert np.isnan(y[0, 3]).sum() == (1 if number else 33)
        assert plane[0, 3, 7] == plane[0, 3, 7]


@pytest.mark.variants(weights="int8")
def test_padding_and_other_directions(variant, rng):
    """What stands past a row's length is not looked at; both ways, NaN goes forward from its step and back from it."""
    one = named(variant.kind, {"gru": "after", "rnn": "tanh", "lstm": "ifgo"}[variant.kind] + ", both ways")
    model = build(variant, one, 5, 33)
    x, hx = draw(variant, rng, model, 6, 4)
    lengths = [3, 6, 0, 5]
    clean = model(x, hx, lengths=lengths)
    for row, length in enumerate(lengths):
        x[length:, row] = np.nan
    assert_same_bits(model(x, hx, lengths=lengths), clean)
    x[2, 3, 0] = np.inf
    y, _ = model(x, hx, lengths=lengths)
    assert_same_bits(y[:, :3], clean[0][:, :3])
    assert_array_equal(np.isnan(y[:, 3, :33]).all(1), [False, False, True, True, True, False])
    assert_array_equal(np.isnan(y[:, 3, 33:]).all(1), [True, True, True, False, False, False])
    assert not np.isnan(y[:2, 3, :33]).any() and not np.isnan(y[3:, 3, 33:]).any()


@pytest.mark.variants(weights="bfloat16")
@forms
def test_bfloat16_in_odd_rows(variant, configuration, rng):
    """NaN, infinity, subnormal and huge numbers: still the bits of the float32 model, NaN where it has NaN."""
    model = build(variant, configuration, 6, 33)
    with variant.selected():
        float32 = model.dequantize()
    x, hx = draw(variant, rng, model, 5, 9)
    x[1, 2, 3], x[2, 4, 0], x[:, 6], x[:, 7] = np.nan, np.inf, x[:, 6] * 1e-40, x[:, 7] * 1e30
    for found, expected in zip(flat(model(x, hx)), flat(float32(x, hx)), strict=True):
        assert_array_equal(np.isnan(found), np.isnan(expected))
        assert_same_bits(np.nan_to_num(found), np.nan_to_num(expected))
