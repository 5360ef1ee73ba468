"""`GRU.trace`: the gates of every step equal the oracle's, and y and h_n are those of a plain call."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from support import reference
from support.models import float32_values, random_lengths, random_state

pytestmark = pytest.mark.variants(kind="gru")

SHAPES = [{}, {"num_layers": 2}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True, "bias": False}]
T, N, H, INPUTS = 9, 4, 19, 3


def problem(rng, variant, shape, *, batch_first=False, batched=True):
    """Parameters, x and h_0; one block and a bit of hidden units."""
    state = random_state(rng, INPUTS, H, **shape)
    cells = shape.get("num_layers", 1) * (1 + shape.get("bidirectional", False))
    x = float32_values(rng.normal(size=(N, T, INPUTS) if batch_first else (T, N, INPUTS)))
    h_0 = float32_values(rng.normal(size=(cells, N, H)))
    if not batched:
        x, h_0 = x[:, 0], h_0[:, 0]
    return state, variant.cast(x), variant.cast(h_0)


def assert_gates(gates, expected, tolerance):
    for name in "rzn":
        assert getattr(gates, name).shape == expected[name].shape
        assert_allclose(getattr(gates, name), expected[name], rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("layout", ["time", "batch", "unbatched"])
@pytest.mark.parametrize("with_lengths", [False, True])
def test_equals_the_oracle_and_a_plain_call(rng, variant, shape, reset_after, layout, with_lengths):
    if layout == "unbatched" and with_lengths:
        return
    options = {"reset_after": reset_after, "batch_first": layout == "batch"}
    state, x, h_0 = problem(
        rng, variant, shape, batch_first=layout == "batch", batched=layout != "unbatched"
    )
    lengths = random_lengths(rng, T, N) if with_lengths else None
    if with_lengths:
        lengths[1] = 0
    gru = variant.from_state(state, **options)
    y, h_n, gates = gru.trace(x, h_0, lengths=lengths)
    _, _, expected = reference.gru_trace(x, state, h_0, lengths, **options)
    assert_gates(gates, expected, variant.tolerance)
    plain_y, plain_h = gru(x, h_0, lengths=lengths)
    assert_array_equal(y, plain_y)
    assert_array_equal(h_n, plain_h)


def test_the_initial_state_is_hx_and_converted(rng, best):
    state, x, h_0 = problem(rng, best, {})
    gru = best.from_state(state)
    for given in (h_0.astype(np.float64), h_0.tolist()):
        for found, expected in zip(gru.trace(x, hx=given)[2], gru.trace(x, h_0)[2], strict=True):
            assert_array_equal(found, expected)
    with pytest.raises(TypeError, match="h_0"):
        gru.trace(x, h_0=h_0)


def test_z_in_the_other_sense(rng, variant):
    state, x, h_0 = problem(rng, variant, {})
    gru = variant.from_state(state)
    lengths = [T, 2, 0, 5]
    keep = gru.trace(x, h_0, lengths=lengths)[2]
    new = gru.trace(x, h_0, lengths=lengths, z_is="new")[2]
    assert_array_equal(new.r, keep.r)
    assert_array_equal(new.n, keep.n)
    valid = np.broadcast_to((np.arange(T)[:, None] < lengths)[None, :, :, None], keep.z.shape)
    assert_array_equal(new.z[valid], 1 - keep.z[valid])
    assert not new.z[~valid].any()


@pytest.mark.parametrize("backward", ["reverse", "go_backwards"])
def test_a_step_stands_at_the_time_of_its_input(rng, best, backward):
    state, x, h_0 = problem(rng, best, {})
    gates = best.from_state(state, **{backward: True}).trace(x, h_0)[2]
    _, _, expected = reference.gru_trace(x[::-1], state, h_0)
    assert_gates(gates, {name: values[:, ::-1] for name, values in expected.items()}, best.tolerance)


def test_the_stored_initial_state_is_used(rng, best):
    state, x, h_0 = problem(rng, best, {"num_layers": 2})
    gru = best.from_state(state | {"h_0": h_0[:, 0]})
    _, _, expected = reference.gru_trace(x, state, np.repeat(h_0[:, :1], N, axis=1))
    assert_gates(gru.trace(x)[2], expected, best.tolerance)


@pytest.mark.parametrize("steps, rows", [(0, 2), (3, 0), (0, 0)])
def test_empty(best, steps, rows):
    gru = best.model(INPUTS, 5, num_layers=2, rng=0)
    y, h_n, gates = gru.trace(np.zeros((steps, rows, INPUTS), best.dtype))
    assert y.shape == (steps, rows, 5) and h_n.shape == (2, rows, 5)
    assert all(gate.shape == (2, steps, rows, 5) for gate in gates)


def test_bad_arguments(best):
    gru = best.model(INPUTS, 5, rng=0)
    with pytest.raises(ValueError, match="z_is must be 'keep'"):
        gru.trace(np.zeros((2, INPUTS)), z_is="old")
    with pytest.raises(ValueError, match="x has 4 features"):
        gru.trace(np.zeros((2, 4)))
