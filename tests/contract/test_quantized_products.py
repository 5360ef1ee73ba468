"""What int8 weights compute before the gates, to the last bit, on every instruction set.

With activations that change nothing, a model's outputs are its products: W x + b + (U h + c). The oracle gives the same
numbers in float32, over whole sequences too: so everything is compared with ==. Only zeros lose their sign.
"""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from support import quantized, reference
from support.models import pack, planes, random_lengths, random_state
from support.quantized import int8_product

pytestmark = pytest.mark.variants(weights="int8")
rnn = pytest.mark.variants(kind="rnn")

#: (K, H): features that fill no 4, 16 or 64, units that fill no vector, one of either.
SIZES = (1, 1), (2, 17), (3, 5), (4, 16), (5, 48), (7, 33), (31, 8), (40, 50), (63, 100), (64, 64), (66, 24), (129, 19)
ROWS = (*range(1, 10), 12, 15, 16, 17, 24, 31, 32, 33)


def normal(rng, *shape):
    """Normal float32 numbers."""
    return rng.normal(size=shape).astype(np.float32)


def parameters(rng, K, H):
    """W, U, b, c of a plain cell."""
    return normal(rng, H, K), normal(rng, H, H), normal(rng, H), normal(rng, H)


def one_step(variant, x, h, W, U, b, c):
    """W x + b + (U h + c) as a model computes it; x (N, K), h (N, H)."""
    state = {"weight_ih_l0": W, "weight_hh_l0": U, "bias_ih_l0": b, "bias_hh_l0": c}
    y, h_n = variant.from_state(state, nonlinearity="linear")(x[None], h[None])
    assert y.dtype == np.float32
    assert_array_equal(y, h_n)
    return y[0]


def expected_step(x, h, W, U, b, c):
    """The same from the oracle."""
    with np.errstate(all="ignore"):
        return int8_product(x, W, b) + int8_product(h, U, c)


def check(variant, x, h, *weights):
    """One step of a model is the oracle's; returns it."""
    result = one_step(variant, x, h, *weights)
    assert_array_equal(result, expected_step(x, h, *weights))
    return result


# ---------------------------------------------------------------------------------------------- one step


@rnn
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_products(variant, rng, sizes):
    K, H = sizes
    weights = parameters(rng, K, H)
    for N in ROWS:
        x, h = normal(rng, N, K), normal(rng, N, H)
        result = check(variant, x, h, *weights)
        assert N * H < 30 or np.ptp(result) > 1


@rnn
def test_every_number_of_features(variant, rng):
    """1 to 40, in one row, a few and a tile of them; W alone, U is 0."""
    for K in range(1, 41):
        W, _, b, c = parameters(rng, K, 19)
        for N in (1, 3, 8):
            check(variant, normal(rng, N, K), normal(rng, N, 19), W, np.zeros((19, 19), np.float32), b, c)


@rnn
@pytest.mark.parametrize("N", [1, 2, 6, 9, 33])
def test_rows_of_every_size(variant, rng, N):
    """Rows of W, U, x and h over 45 powers of ten, with rows and columns of zeros and of subnormal numbers."""
    for K, H in ((5, 33), (40, 17), (130, 50)):
        W, U, b, c = parameters(rng, K, H)
        x, h = normal(rng, N, K), normal(rng, N, H)
        for matrix in (W, U):
            matrix *= (10.0 ** rng.uniform(-30, 12, (H, 1))).astype(np.float32)
            matrix[rng.integers(H)] = 0
            matrix[rng.integers(H)] = np.float32(2.0**-149) * rng.integers(-190, 191, matrix.shape[1])
        for rows in (x, h):
            rows *= (10.0 ** rng.uniform(-33, 12, (N, 1))).astype(np.float32)
            rows[rng.integers(N)] = 0
            rows[rng.integers(N)] *= np.float32(1e-38)
            rows[:, rng.integers(rows.shape[1])] = 0
        result = check(variant, x, h, W, U, b, c)
        assert np.isfinite(result).all()
        check(variant, x, h, W, U, np.zeros_like(b), np.zeros_like(c))


@rnn
def test_ties_and_borders(variant, rng):
    """Activations in the middle between two integers, at 2^-100 and just below it, and a large one among small ones."""
    K, H = 37, 21
    weights = parameters(rng, K, H)
    below = np.nextafter(np.float32(2.0**-100), np.float32(0))
    x, h = (np.rint(rng.uniform(-253, 253, (12, width))).astype(np.float32) / 2 for width in (K, H))
    for rows in (x, h):
        rows[:, 3] = 127
        rows[1], rows[2], rows[3] = rows[1] / 127 * np.float32(2.0**-100), rows[2] / 127 * below, below
        rows[4, :] = 0.4990
        rows[4, 3], rows[5, 3] = 127, 1e6
        rows[6] *= np.float32(2.0**-90)
        rows[7] = rng.choice([-1, 1], rows.shape[1])
    result = check(variant, x, h, *weights)
    biases = weights[2] + weights[3]
    assert_array_equal(result[[2, 3]], [biases, biases])
    assert_array_equal(result[4], expected_step(np.eye(1, K, 3) * 127, np.eye(1, H, 3) * 127, *weights)[0])
    without = check(variant, x, h, *weights[:2], np.zeros(H, np.float32), np.zeros(H, np.float32))
    assert without[1].all() and not without[[2, 3]].any()


@rnn
@pytest.mark.parametrize("N", [1, 5, 33])
def test_rows_beyond_float32(variant, rng, N):
    """Infinite products, with a sum of 0 NaN; they stay in their rows and units."""
    K, H = 22, 35
    W, U, b, c = parameters(rng, K, H)
    W[4] *= np.float32(1e37) / np.abs(W[4]).max()
    W[9] = np.where(np.arange(K) % 2, 1, -1) * np.float32(1e37)
    x, h = normal(rng, N, K), normal(rng, N, H)
    x[N // 2] = 1e30
    result = check(variant, x, h, W, U, b, c)
    assert np.isinf(result[N // 2, 4]) and np.isnan(result[N // 2, 9])
    assert np.isfinite(np.delete(result[N // 2], [4, 9])).all() and np.isfinite(np.delete(result, N // 2, 0)).all()
    x[N // 2] = np.finfo(np.float32).max
    check(variant, x, h, W, U, b, c)


@rnn
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf], ids=str)
def test_rows_that_are_no_numbers(variant, rng, odd):
    """One such number in x or h makes its row NaN, units whose weights are 0 too, and no other row."""
    for K, H in ((5, 19), (70, 35)):
        W, U, b, c = parameters(rng, K, H)
        W[2] = U[2] = 0
        for N in (1, 2, 9, 20):
            x, h = normal(rng, N, K), normal(rng, N, H)
            clean = check(variant, x, h, W, U, b, c)
            for row, column, of_x in ((0, 0, True), (N - 1, K - 1, True), (N // 2, H - 1, False), (N // 2, 3, False)):
                changed_x, changed_h = x.copy(), h.copy()
                (changed_x if of_x else changed_h)[row, column] = odd
                result = check(variant, changed_x, changed_h, W, U, b, c)
                assert np.isnan(result[row]).all()
                assert_array_equal(np.delete(result, row, 0), np.delete(clean, row, 0))


# -------------------------------------------------------------------------------- the ends of the integers


@rnn
@pytest.mark.parametrize("K", [5, 16, 255, 1030])
def test_the_largest_integers(variant, rng, K):
    """Every q 127 or -127 in weights and activations: where pairs of products, added in 16 bits, could saturate."""
    H = 33
    signs = rng.choice(np.array([-1, 1], np.float32), (H, K))
    signs[0], signs[1], signs[2] = 1, -1, np.where(np.arange(K) % 2, 1, -1)
    U = rng.choice(np.array([-1, 1], np.float32), (H, H))
    U[:3] = [[1], [-1], [0]]
    b, c = normal(rng, H), normal(rng, H)
    for N in (1, 4, 9, 33):
        x, h = (rng.choice(np.array([-1, 1], np.float32), (N, width)) for width in (K, H))
        x[0], h[0] = 1, 1
        x[N // 2], h[N // 2] = (1, 1) if N == 1 else (-1, -1)
        check(variant, 3 * x, 5 * h, 7 * signs, 11 * U, b, c)
        x[N - 1] = signs[N % H]         # every product of this row positive, for one unit
        check(variant, x, h, signs, U, b, c)
        zeros = np.zeros_like(b)
        result = check(variant, x, h, signs, np.zeros_like(U), zeros, zeros)
        assert abs(abs(result[N - 1, N % H]) - K) < K * 1e-6


@rnn
@pytest.mark.parametrize("K", [66_000, 66_400, 133_144])
def test_sums_near_the_end_of_32_bits(variant, rng, K):
    """Up to 127 * 127 * K, below 2^31; from 66,312 features on, activations moved to 1..255 would wrap on the way."""
    H = 18
    W = rng.choice(np.array([-1, 1], np.float32), (H, K))
    W[0], W[1], W[2] = 1, -1, 0
    W[3, : K // 2], W[3, K // 2 :] = 1, -1
    W[4] = normal(rng, K)
    b, c = normal(rng, H), normal(rng, H)
    U = np.zeros((H, H), np.float32)
    x = np.stack([np.ones(K), -np.ones(K), W[3], W[5], -W[5], rng.normal(size=K)]).astype(np.float32)
    h = normal(rng, len(x), H)
    result = check(variant, x, h, W, U, np.zeros_like(b), np.zeros_like(c))
    assert_array_equal(np.sign(result[:2, :3]), [[1, -1, 0], [-1, 1, 0]])
    assert np.abs(np.abs(result[:2, :2]) / K - 1).max() < 1e-6
    check(variant, x, h, W, U, b, c)
    check(variant, x[3:4], h[3:4], W, U, b, c)


# ----------------------------------------------------------------------------------------- whole sequences



def same(a):
    """The activation "linear"."""
    return a


#: Activations that change nothing, or cut at 0: a kind, cgru's options, the oracle's.
LINEAR = {
    "gru after": ("gru", {"activations": ("linear",) * 2}, {"f": same, "g": same}),
    "gru before": (
        "gru", {"activations": ("linear",) * 2, "reset_after": False}, {"f": same, "g": same, "reset_after": False}
    ),
    "rnn linear": ("rnn", {"nonlinearity": "linear"}, {"g": same}),
    "rnn relu": ("rnn", {"nonlinearity": "relu"}, {"g": reference.relu}),
    "lstm": ("lstm", {"activations": ("linear",) * 3}, {"f": same, "g": same, "h": same}),
}  # fmt: skip
GATES = {"gru": (None, 0.0, "free"), "lstm": (1.0, 0.0, "free", 1.0), "rnn": ("free",)}


def linear_state(rng, kind, K, H, **layers):
    """Parameters under which every gate but one is a constant, so that a step rounds nowhere but in its products.

    GRU: z = 0 and r = 1, 1/2 or 1/4 by unit: h' = n. LSTM: i = o = 1 and f = 0: h' = c' = g. An RNN is so already. The
    states do not grow: a recurrent row's sum of magnitudes is below 1.
    """
    state = {name: values.astype(np.float32) for name, values in random_state(rng, K, H, kind=kind, **layers).items()}
    for name, values in state.items():
        for number, gate in enumerate(GATES[kind]):
            rows = values[number * H : (number + 1) * H]
            if gate == "free":
                if name.startswith("weight_hh"):
                    rows *= np.float32(0.9 / np.abs(rows).sum(axis=1).max())
            else:
                constant = 2.0 ** -(np.arange(H) % 3) if gate is None else gate
                rows[...] = constant if name.startswith("bias_ih") else 0
    return state


@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_sequences(variant, rng, with_lengths):
    """Every step of every layer and direction; with the reset before, r * h is quantised instead of h."""
    for kind, options, functions in LINEAR.values():
        if kind != variant.kind:
            continue
        for K, H, N, T in ((7, 19, 3, 12), (22, 33, 9, 5), (66, 50, 1, 30)):
            state = linear_state(rng, kind, K, H, num_layers=2, bidirectional=True)
            x, hx = normal(rng, T, N, K), pack([normal(rng, 4, N, H) for _ in variant.cell.states])
            lengths = random_lengths(rng, T, N) if with_lengths and N > 1 else None
            found = variant.from_state(state, **options)(x, hx, lengths=lengths)
            run = getattr(reference, kind)
            y, final = run(x, state, hx, lengths, affine=int8_product, **functions)
            assert_array_equal(found[0], y)
            assert_array_equal(planes(found[1]), planes(final))
            assert np.ptp(y) > 0.5
            plain, _ = run(x, state, hx, lengths, **functions)
            assert 1e-4 < np.abs(y - plain).max() < 0.1


@rnn
def test_a_hundred_large_steps(variant, rng):
    """Beyond the engine's own chunks of steps, and of rows: 512 units, 100 steps."""
    for K, H, N, T in ((40, 512, 1, 100), (24, 100, 300, 4)):
        state = linear_state(rng, "rnn", K, H)
        x, h = normal(rng, T, N, K), normal(rng, 1, N, H)
        y, h_n = variant.from_state(state, nonlinearity="linear")(x, h)
        expected, end = reference.rnn(x, state, h, nonlinearity="linear", affine=int8_product)
        assert_array_equal(y, expected)
        assert_array_equal(h_n, end)


# ------------------------------------------------------------------------------------------ what is stored


@pytest.mark.parametrize("weights", quantized.QUANTIZED)
def test_what_weights_stand_for(rng, weights):
    """`dequantize` and `state_dict` give the oracle's rounded numbers."""
    import cgru

    for kind, network in (("gru", cgru.GRU), ("lstm", cgru.LSTM), ("rnn", cgru.RNN)):
        state = {name: values * 3 for name, values in random_state(rng, 5, 19, kind=kind, num_layers=2).items()}
        state["weight_ih_l0"][3] = 0
        state["weight_hh_l1"][2] *= 1e-30
        model = network.from_state_dict(state, dtype="float32", engine="packed").quantize(weights)
        for found in (model.state_dict(), model.dequantize().state_dict()):
            assert list(found) == list(state)
            for name, values in quantized.dequantized(state, weights).items():
                assert found[name].dtype == np.float32
                assert_array_equal(found[name], values)


def test_the_sizes_are_all_different():
    """What the lists above claim: remainders of 4, 16 and 64, and blocks of rows of every tile."""
    features, units = zip(*SIZES, strict=True)
    assert {K % 4 for K in features} == {0, 1, 2, 3} and {H % 16 for H in units} >= {0, 1, 8}
    assert all(N in ROWS for N in itertools.chain(range(1, 10), (32, 33)))
