"""d h_t / d h_{t-1} against central differences, the backward pass and a closed form."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from support import reference
from support.models import network, pack, planes, random_state

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
    with pytest.raises(ValueError, match=r"hx has shape \(2, 7\), expected \(3, 7\)"):
        model.jacobian(x_t, h[:2])
    with pytest.raises(ValueError, match="input_size=4"):
        model.jacobian(x_t[:, :3], h)
    with pytest.raises(TypeError, match=r"hx .*real numbers"):
        model.jacobian(x_t, h * 1j)


def test_a_state_of_another_float_is_converted(step):
    state, x_t, h = step
    model = cgru.GRU.from_state_dict(state)
    single = h.astype(np.float32)
    assert_array_equal(model.jacobian(x_t, single), model.jacobian(x_t, single.astype(np.float64)))


# ------------------------------------------------------------------------------------------- every kind


KINDS = [("gru", {}), ("gru", {"reset_after": False}), ("lstm", {}), ("rnn", {}), ("rnn", {"nonlinearity": "relu"})]
kinds = pytest.mark.parametrize("kind, options", KINDS, ids=repr)


def step_of(rng, kind):
    """Parameters, x_t (3, 4), and the planes of the state, (3, 7) each."""
    count = 2 if kind == "lstm" else 1
    state = random_state(rng, 4, 7, kind=kind)
    return state, rng.normal(size=(3, 4)), [rng.normal(size=(3, 7)) for _ in range(count)]


@kinds
@pytest.mark.parametrize("batch_first", [False, True])
def test_central_differences_of_the_whole_state(rng, kind, options, batch_first):
    """Row by row h, then c; column by column too."""
    state, x_t, hx = step_of(rng, kind)
    found = network(kind).from_state_dict(state, batch_first=batch_first, **options).jacobian(x_t, pack(hx))
    whole = np.concatenate(hx, axis=1)
    assert found.shape == (3, whole.shape[1], whole.shape[1])
    expected = np.empty_like(found)
    for j in range(whole.shape[1]):
        ends = []
        for change in (1e-5, -1e-5):
            moved = whole.copy()
            moved[:, j] += change
            given = pack([plane[None] for plane in np.split(moved, len(hx), axis=1)])
            _, final = getattr(reference, kind)(x_t[None], state, given, **options)
            ends.append(np.concatenate([plane[0] for plane in planes(final)], axis=1))
        expected[:, :, j] = (ends[0] - ends[1]) / 2e-5
    assert_allclose(found, expected, rtol=0, atol=1e-9)


@kinds
def test_a_chain_agrees_with_backward(rng, kind, options):
    state, x_t, hx = step_of(rng, kind)
    model = network(kind).from_state_dict(state, **options)
    x = np.stack([x_t, -x_t, 0.5 * x_t, x_t[::-1]])
    _, _, tape = model.record(x, pack([plane[None] for plane in hx]))
    dstates = [rng.normal(size=(3, 7)) for _ in hx]
    states = [pack(hx)]
    for t in range(3):
        given = pack([plane[None] for plane in planes(states[-1])])
        states.append(pack([plane[0] for plane in planes(model(x[t : t + 1], given)[1])]))
    row = np.concatenate(dstates, axis=1)[:, None]
    for t in reversed(range(4)):
        row = row @ model.jacobian(x[t], states[t])
    grads = model.backward(tape, dh_n=pack([plane[None] for plane in dstates]))
    found = np.concatenate([grad[0] for grad in (grads.h_0, grads.c_0) if grad is not None], axis=1)
    assert_allclose(found, row[:, 0], rtol=1e-12, atol=1e-14)


OTHERS = [
    ("gru", {"clip": 0.4}), ("gru", {"clip": 0.4, "reset_after": False, "reverse": True}),
    ("gru", {"activations": ("softsign", "elu"), "reset_after": False}),
    ("gru", {"activations": ("hard_sigmoid", "silu"), "go_backwards": True, "clip": 2.5}),
    ("lstm", {"activations": ("softsign", "elu", "softplus"), "clip": 0.4}),
    ("lstm", {"activations": ("sigmoid", "tanh", ("leaky_relu", 0.25)), "reverse": True}),
    ("rnn", {"nonlinearity": "gelu"}), ("rnn", {"nonlinearity": "relu", "clip": 0.4}),
]  # fmt: skip


@pytest.mark.parametrize("kind, options", OTHERS, ids=repr)
@pytest.mark.parametrize("batch_first", [False, True])
def test_other_activations_and_a_clip(rng, kind, options, batch_first):
    """Against central differences of a call; float32 beside float64."""
    state, x_t, hx = step_of(rng, kind)
    model = network(kind).from_state_dict(state, batch_first=batch_first, **options)
    found = model.jacobian(x_t, pack(hx))
    whole, x = np.concatenate(hx, axis=1), x_t[:, None] if batch_first else x_t[None]
    expected = np.empty((3, whole.shape[1], whole.shape[1]))
    for j in range(whole.shape[1]):
        ends = []
        for change in (1e-6, -1e-6):
            moved = whole.copy()
            moved[:, j] += change
            _, final = model(x, pack([plane[None] for plane in np.split(moved, len(hx), axis=1)]))
            ends.append(np.concatenate([plane[0] for plane in planes(final)], axis=1))
        expected[:, :, j] = (ends[0] - ends[1]) / 2e-6
    assert_allclose(found, expected, rtol=0, atol=1e-8)
    assert_allclose(model.jacobian(x_t[1], pack([plane[1] for plane in hx])), found[1], rtol=0, atol=1e-13)
    single = model.astype(np.float32).jacobian(x_t, pack(hx))
    assert single.dtype == np.float32
    assert_allclose(single, found, rtol=0, atol=2e-6)


@kinds
def test_of_one_row_and_float32(rng, kind, options):
    state, x_t, hx = step_of(rng, kind)
    model = network(kind).from_state_dict(state, **options)
    whole = model.jacobian(x_t, pack(hx))
    assert_allclose(model.jacobian(x_t[1], pack([plane[1] for plane in hx])), whole[1], rtol=0, atol=1e-13)
    single = network(kind).from_state_dict(state, dtype=np.float32, **options).jacobian(x_t, pack(hx))
    assert single.dtype == np.float32
    assert_allclose(single, whole, rtol=0, atol=2e-6)


def test_errors_of_an_lstm(rng):
    state, x_t, (h, c) = step_of(rng, "lstm")
    model = cgru.LSTM.from_state_dict(state)
    for bad in (h, None, (h,), (h, c, c)):
        with pytest.raises(TypeError):
            model.jacobian(x_t, bad)
    with pytest.raises(ValueError, match=r"c_0 has shape \(2, 7\), expected \(3, 7\)"):
        model.jacobian(x_t, (h, c[:2]))
    with pytest.raises(ValueError, match="num_layers=2"):
        cgru.LSTM(4, 7, num_layers=2).jacobian(x_t, (h, c))
