"""d h_t / d h_{t-1} against central differences, the backward pass and a closed form."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from support import reference
from support.models import random_state

before_and_after = pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])


@pytest.fixture
def step(rng):
    """Parameters (I = 4, H = 7), x_t (3, 4) and h (3, 7)."""
    return random_state(rng, 4, 7), rng.normal(size=(3, 4)), rng.normal(size=(3, 7))


@before_and_after
@pytest.mark.parametrize("batch_first", [False, True])
def test_central_differences(step, reset_after, batch_first):
    state, x_t, h = step
    model = cgru.GRU.from_state_dict(state, reset_after=reset_after, batch_first=batch_first)
    jacobian = model.jacobian(x_t, h)
    assert jacobian.shape == (3, 7, 7)
    expected = np.empty_like(jacobian)
    for j in range(7):
        ends = []
        for change in (1e-5, -1e-5):
            moved = h.copy()
            moved[:, j] += change
            ends.append(reference.gru(x_t[None], state, moved[None], reset_after=reset_after)[1][0])
        expected[:, :, j] = (ends[0] - ends[1]) / 2e-5
    assert_allclose(jacobian, expected, rtol=0, atol=1e-9)


@before_and_after
def test_agrees_with_backward(step, reset_after):
    """A chain of steps: the product of their Jacobians is what backward multiplies dh_n by."""
    state, x_t, h = step
    model = cgru.GRU.from_state_dict(state, reset_after=reset_after)
    x = np.stack([x_t, -x_t, 0.5 * x_t, x_t[::-1]])
    y, _, tape = model.record(x, h[None])
    dh_n = np.linspace(-1, 1, 21).reshape(1, 3, 7)
    row = dh_n[0][:, None]
    for t in reversed(range(4)):
        row = row @ model.jacobian(x[t], y[t - 1] if t else h)
    assert_allclose(model.backward(tape, dh_n=dh_n).h_0[0], row[:, 0], rtol=1e-12, atol=1e-14)


def test_without_recurrent_weights_it_is_z(step):
    state, x_t, h = step
    state["weight_hh_l0"][:] = 0
    jacobian = cgru.GRU.from_state_dict(state).jacobian(x_t, h)
    a = x_t @ state["weight_ih_l0"][7:14].T + (state["bias_ih_l0"] + state["bias_hh_l0"])[7:14]
    expected = np.zeros((3, 7, 7))
    expected[:, np.arange(7), np.arange(7)] = 1 / (1 + np.exp(-a))
    assert_allclose(jacobian, expected, rtol=1e-14)


def test_one_row_and_float32(step):
    state, x_t, h = step
    model = cgru.GRU.from_state_dict(state)
    assert_array_equal(model.jacobian(x_t[1], h[1]), model.jacobian(x_t[1:2], h[1:2])[0])
    single = cgru.GRU.from_state_dict(state, dtype=np.float32).jacobian(x_t, h.astype(np.float32))
    assert single.dtype == np.float32
    assert_allclose(single, model.jacobian(x_t, h), rtol=0, atol=2e-6)


def test_errors(step):
    state, x_t, h = step
    model = cgru.GRU.from_state_dict(state)
    with pytest.raises(ValueError, match="num_layers=2"):
        cgru.GRU(4, 7, num_layers=2, dtype=np.float64).jacobian(x_t, h)
    with pytest.raises(ValueError, match="bidirectional=True"):
        cgru.GRU(4, 7, bidirectional=True, dtype=np.float64).jacobian(x_t, h)
    with pytest.raises(ValueError, match="expected one step"):
        model.jacobian(x_t[None], h)
    with pytest.raises(ValueError, match=r"h has shape \(2, 7\), expected \(3, 7\)"):
        model.jacobian(x_t, h[:2])
    with pytest.raises(ValueError, match="input_size=4"):
        model.jacobian(x_t[:, :3], h)
    with pytest.raises(TypeError, match=r"h .*real numbers"):
        model.jacobian(x_t, h * 1j)


def test_a_state_of_another_float_is_converted(step):
    state, x_t, h = step
    model = cgru.GRU.from_state_dict(state)
    single = h.astype(np.float32)
    assert_array_equal(model.jacobian(x_t, single), model.jacobian(x_t, single.astype(np.float64)))
