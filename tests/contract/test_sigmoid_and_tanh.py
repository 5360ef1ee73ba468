"""Sigmoid and tanh keep the contract: 2e-7 for every float32, 1e-15 for float64, exact at the ends, NaN for NaN."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cgru import engines
from cgru.activations import Activation, code
from cgru.cells import CELLS
from cgru.engines.isas import named

CONTRACT = {"float32": 2e-7, "float64": 1e-15}
WIDER = {"float32": np.float64, "float64": np.longdouble}
GATES = "sigmoid", "tanh"


@pytest.fixture(params=[isa for isa in engines.isas_usable() if named(isa).base is None])
def evaluate(request):
    """evaluate(gate, x): a gate function as an engine applies it, for one instruction set.

    A plain cell of one unit, h' = g(1 x + 0 + 0 h + 0), takes one step in as many rows as there are numbers. The sums
    lose the sign of a zero.
    """
    with engines.using(request.param):
        module = engines.load("blas")

    def run(gate, x):
        one, zero = np.ones((1, 1), x.dtype), np.zeros((1, 1), x.dtype)
        cell = module.Direction(one, zero, zero[0], zero[0], kind=CELLS["rnn"].code, g=code(Activation(gate)))
        y, h = np.empty((1, len(x), 1), x.dtype), np.zeros((len(x), 1), x.dtype)
        cell.run(x.reshape(1, -1, 1), y, (h,), None, None, False, None)
        assert_array_equal(h, y[0])
        return y[0, :, 0]

    return run


def exact(gate, x):
    """The gate in the wider float; finite x."""
    x = x.astype(WIDER[x.dtype.name])
    if gate == "tanh":
        return np.tanh(x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def every_float32_exponent():
    """All 2 x 255 exponents with 2048 mantissas each, the first, the last and random ones; subnormals included."""
    rng = np.random.default_rng(3)
    mantissas = rng.integers(0, 1 << 23, (255, 2048), dtype=np.uint32)
    mantissas[:, :4] = 0, 1, (1 << 23) - 1, (1 << 23) - 2
    bits = (np.arange(255, dtype=np.uint32)[:, None] << 23 | mantissas).ravel()
    return np.concatenate([bits, bits | np.uint32(1 << 31)]).view(np.float32)


@functools.cache
def sample(name):
    """Finite numbers of every size, densest where the functions bend."""
    rng = np.random.default_rng(4)
    middle = np.linspace(-20, 20, 500_001) if name == "float32" else np.linspace(-45, 45, 500_001)
    ends = [-104.0, -89.0, -88.5, -88.0, -87.5, 87.5, 88.0, 88.5, 89.0, 104.0, -745.5, -709.0, 709.0, 745.5]
    near = (np.array(ends)[:, None] + rng.normal(size=200) * 1e-2).ravel()
    if name == "float32":
        return np.concatenate([every_float32_exponent(), middle.astype(np.float32), near.astype(np.float32)])
    scaled = rng.uniform(1, 2, 200_000) * 2.0 ** rng.integers(-1074, 1023, 200_000)
    return np.concatenate([middle, near, scaled, -scaled, [5e-324, -5e-324, 0.0, -0.0]])


@functools.cache
def exact_sample(gate, name):
    return exact(gate, sample(name))


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("name", CONTRACT)
def test_accuracy(evaluate, gate, name):
    got = evaluate(gate, sample(name))
    assert np.abs(got - exact_sample(gate, name)).max() <= CONTRACT[name]
    assert got.min() >= (0 if gate == "sigmoid" else -1) and got.max() <= 1


@pytest.mark.parametrize("name", CONTRACT)
def test_exact_values(evaluate, name):
    ends = np.array([-np.inf, np.inf, 0.0, -0.0], name)
    assert_array_equal(evaluate("sigmoid", ends), [0, 1, 0.5, 0.5])
    assert_array_equal(evaluate("tanh", ends), [-1, 1, 0, 0])
    largest = np.finfo(name).max
    assert_array_equal(evaluate("tanh", np.array([-largest, largest], name)), [-1, 1])
    assert_array_equal(evaluate("sigmoid", np.array([largest], name)), [1])


@pytest.mark.parametrize("name", CONTRACT)
def test_tanh_is_odd_and_keeps_small_numbers(evaluate, name):
    x = sample(name)
    assert_array_equal(evaluate("tanh", -x), -evaluate("tanh", x))
    small = x[(np.abs(x) < 0.1) & (np.abs(x) > 4 * np.finfo(name).smallest_normal)]
    assert (np.abs(small) < 1e-30).any()
    relative = (evaluate("tanh", small) - exact("tanh", small)) / small
    assert np.abs(relative).max() < 4 * np.finfo(name).eps


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("name", CONTRACT)
def test_nan_stays_nan(evaluate, gate, name):
    """At every place in a vector, with every sign and payload tried, and nowhere else."""
    unsigned = {"float32": np.uint32, "float64": np.uint64}[name]
    quiet = np.array([np.nan, -np.nan], name).view(unsigned)
    payloads = np.concatenate([quiet, quiet | unsigned(1), quiet | unsigned(12345)]).view(name)
    for place in range(37):
        x = np.linspace(-3, 3, 37).astype(name)
        clean = evaluate(gate, x)
        x[place] = payloads[place % len(payloads)]
        got = evaluate(gate, x)
        assert np.isnan(got[place])
        assert_array_equal(np.delete(got, place), np.delete(clean, place))


@pytest.mark.variants(kind="gru")
@pytest.mark.parametrize("gate", GATES)
def test_accuracy_inside_a_gru(variant, gate):
    """The gates as a GRU uses them: whole blocks of units and the tail give the same bits.

    h' = (1 - z) n + z h: with z = 0 it is n = tanh(x); with n = 0 and h = 1 it is z = sigmoid(x).
    """
    H = 19
    x = sample(variant.name)[::9]
    zero, ones = np.zeros((H, 1)), np.ones((H, 1))
    rows = {"tanh": [zero, zero, ones], "sigmoid": [zero, ones, zero]}[gate]
    bias = np.zeros(3 * H)
    bias[H : 2 * H] = {"tanh": -1000.0, "sigmoid": 0.0}[gate]
    state = {
        "weight_ih_l0": np.concatenate(rows),
        "weight_hh_l0": np.zeros((3 * H, H)),
        "bias_ih_l0": bias,
        "bias_hh_l0": np.zeros(3 * H),
    }
    h_0 = variant.cast(np.full((1, len(x), H), float(gate == "sigmoid")))
    y, _ = variant.from_state(state)(x[None, :, None], h_0)
    assert_array_equal(y[0], np.repeat(y[0, :, :1], H, axis=1))
    assert np.abs(y[0, :, 0] - exact_sample(gate, variant.name)[::9]).max() <= CONTRACT[variant.name]


@pytest.mark.variants(kind="lstm")
@pytest.mark.parametrize("gate", GATES)
def test_accuracy_inside_an_lstm(variant, gate):
    """The same: with i = 1 and f = 0, c' is g = tanh(x); with c = h = 0 and x in i alone, i = sigmoid(x) times 1."""
    H = 19
    x = sample(variant.name)[::9]
    zero, ones = np.zeros((H, 1)), np.ones((H, 1))
    rows = {"tanh": [zero, zero, ones, zero], "sigmoid": [ones, zero, zero, zero]}[gate]
    bias = np.repeat({"tanh": [1000.0, -1000.0, 0.0, 0.0], "sigmoid": [0.0, -1000.0, 1000.0, 0.0]}[gate], H)
    state = {
        "weight_ih_l0": np.concatenate(rows),
        "weight_hh_l0": np.zeros((4 * H, H)),
        "bias_ih_l0": bias,
        "bias_hh_l0": np.zeros(4 * H),
    }
    _, (_, c) = variant.from_state(state)(x[None, :, None])
    assert_array_equal(c[0], np.repeat(c[0, :, :1], H, axis=1))
    assert np.abs(c[0, :, 0] - exact_sample(gate, variant.name)[::9]).max() <= CONTRACT[variant.name]


@pytest.mark.variants(kind="lstm")
def test_tanh_keeps_the_sign_of_zero(variant):
    """With f = o = 1, i = 0 and g < 0, c' is c + -0, and h' is tanh(c')."""
    H = 19
    bias = np.repeat([-1000.0, 1000.0, -1.0, 1000.0], H)
    state = {"weight_ih_l0": np.zeros((4 * H, 1)), "weight_hh_l0": np.zeros((4 * H, H)), "bias_ih_l0": bias}
    model = variant.from_state(state | {"bias_hh_l0": np.zeros(4 * H)})
    for zero in (0.0, -0.0):
        c = variant.cast(np.full((1, 2, H), zero))
        y, (_, c_n) = model(np.zeros((1, 2, 1)), (None, c))
        for array in (y, c_n):
            assert not array.any() and (np.signbit(array) == np.signbit(zero)).all()


@pytest.mark.exhaustive
@pytest.mark.parametrize("gate", GATES)
def test_every_float32(evaluate, gate):
    """All 2^32 of them, in chunks."""
    size = 1 << 22
    worst = 0.0
    for start in range(0, 1 << 32, size):
        x = np.arange(start, start + size, dtype=np.uint64).astype(np.uint32).view(np.float32)
        got = evaluate(gate, x)
        nan = np.isnan(x)
        assert_array_equal(np.isnan(got), nan)
        with np.errstate(invalid="ignore"):
            worst = max(worst, np.abs(got - exact(gate, x))[~nan].max(initial=0.0))
    assert worst <= CONTRACT["float32"]
