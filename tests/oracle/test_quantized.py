"""The oracle's quantised numbers and products are right: by hand, in fractions, and against PyTorch's bfloat16.

What is compared with the oracle to the last bit (contract/) stands on this file.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from support import quantized
from support.compare import assert_same_bits

UNIT = 2.0**-149      # the smallest float32
LARGEST = float(np.finfo(np.float32).max)
INT8_OF_ONE = [127, 64, -32, 13]       # of 1, 0.5, -0.25, 0.1: 127, 63.5 up (the step is a little short), 31.75, 12.7


# --------------------------------------------------------------------- float32 in fractions, rounded by hand


def float32(value):
    """The float32 nearest to a fraction, ties to even, as a fraction; an OverflowError beyond the largest."""
    if value == 0:
        return Fraction(0)
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    assert Fraction(2) ** exponent <= abs(value) < Fraction(2) ** (exponent + 1)
    unit = Fraction(2) ** (max(exponent, -126) - 23)
    rounded = round(value / unit) * unit          # of a fraction, to the even one
    if abs(rounded) > Fraction(LARGEST):
        raise OverflowError
    return rounded


def test_the_fractions_round_as_float32_does(rng):
    """`float32` above, which the rest of this file stands on: the hardware's own conversion says the same."""
    exact = np.concatenate([
        rng.integers(0, 2**63, 3000, dtype=np.uint64).view(np.float64),                    # everything there is
        rng.uniform(1, 2, 1000) * 2.0 ** rng.integers(-151, 127, 1000),
        (rng.integers(2**23, 2**24, 500) + 0.5) * 2.0 ** rng.integers(-140, 100, 500),     # ties
        (rng.integers(0, 2**10, 500) + 0.5) * UNIT,
    ])  # fmt: skip
    exact = exact[np.isfinite(exact) & (np.abs(exact) < LARGEST)]
    assert len(exact) > 2500
    for value in exact.tolist():
        assert float(float32(Fraction(value))) == float(np.float32(value))
    with pytest.raises(OverflowError):
        float32(Fraction(2) ** 128 - 1)


def weights_in_fractions(row):
    """A row of weights: q and its scale."""
    scale = float32(max(abs(w) for w in row) / 127)
    if scale == 0:
        return [0] * len(row), scale
    quotients = [round(Fraction(float(w) / float(scale))) for w in row]         # Python's floats are float64
    return [max(-127, min(127, q)) for q in quotients], scale


def activations_in_fractions(row):
    """A finite row of activations: q and its step."""
    m = max(abs(a) for a in row)
    if m < Fraction(2) ** -100:
        return [0] * len(row), Fraction(0)
    factor = float32(127 / m)
    return [round(float32(a * factor)) for a in row], float32(m / 127)


def product_in_fractions(a, W, b):
    """One row: W a + b, rounded wherever the definition rounds."""
    q_a, step = activations_in_fractions(a)
    result = []
    for row, bias in zip(W, b, strict=True):
        q, scale = weights_in_fractions(row)
        total = sum(one * other for one, other in zip(q, q_a, strict=True))
        result.append(float32(float32(float32(Fraction(total)) * float32(scale * step)) + bias))
    return result


def fractions(array):
    """An array's numbers as fractions, in nested lists."""
    return [fractions(part) for part in array] if np.ndim(array) else Fraction(float(array))


def numbers(rng, rows, K):
    """float32 rows of all sizes: some subnormal, some at or near ties, some with one number far above the rest."""
    a = rng.normal(size=(rows, K)) * 10.0 ** rng.uniform(-35, 15, (rows, 1))
    a[rng.random(a.shape) < 0.1] = 0
    a[::5] *= 10.0 ** rng.uniform(-6, 0, a[::5].shape)
    a[3] = rng.integers(-200, 200, K) * UNIT
    a[4, 0] *= 1000
    a[6] = np.rint(rng.uniform(-254, 254, K)) / 2      # halves: ties wherever the largest is 127
    a[6, K // 2] = -127
    a[7] = 0
    a[8] = (rng.integers(-126, 126, K) + 0.5) * 0.3     # near ties, which a quotient in float32 would often be
    a[8, K // 2] = 127 * 0.3
    return a.astype(np.float32)


@pytest.mark.parametrize("K", [1, 2, 7, 40])
def test_numbers_in_fractions(rng, K):
    """Every q and every scale, of weights and of activations."""
    a = numbers(rng, 60, K)
    for function, scalar in (
        (quantized.int8_weights, weights_in_fractions),
        (quantized.quantize_rows, activations_in_fractions),
    ):
        q, scale = function(a)
        assert q.dtype == np.int64 and scale.dtype == np.float32 and q.shape == a.shape and scale.shape == (60,)
        assert np.abs(q).max() == 127 and (np.abs(q).max(axis=1) != 127).sum() in range(1, 40)
        for row, of_row, s in zip(fractions(a), q.tolist(), fractions(scale), strict=True):
            assert (of_row, s) == scalar(row)


@pytest.mark.parametrize("K", [1, 3, 16, 129])
def test_product_in_fractions(rng, K):
    """W a + b to the last bit, over sizes of weights and activations whose products vanish and whose do not."""
    W, a = numbers(rng, 13, K), numbers(rng, 12, K)
    b = (rng.normal(size=13) * 10.0 ** rng.uniform(-8, 1, 13)).astype(np.float32)
    b[5:9] = 0
    got = quantized.int8_product(a, W, b)
    assert got.dtype == np.float32 and got.shape == (12, 13)
    expected = [product_in_fractions(row, fractions(W), fractions(b)) for row in fractions(a)]
    assert fractions(got) == expected
    assert len(np.unique(got)) > 40


def test_sums_are_exact():
    """Beyond 2^24, where float32 would round each addition: K numbers of 127 * 127, and one less."""
    K = 66_400
    ones = np.ones((1, K), np.float32)
    less = ones.copy()
    less[0, 7] = np.float32(126 / 127)
    q, scale = quantized.int8_weights(less)
    assert q.sum() == 127 * K - 1
    step = np.float32(1) / np.float32(127)
    for sign in (1, -1):
        got = quantized.int8_product(ones, sign * less, np.zeros(1, np.float32))
        total = sign * 127 * (127 * K - 1)
        assert 2**30 - 4e6 < abs(total) < 2**31 and np.float32(total) == float(float32(Fraction(total)))
        assert_array_equal(got, [[np.float32(total) * (scale[0] * step)]])


# --------------------------------------------------------------------------------------------------- by hand


def test_weights_by_hand():
    W = np.array([
        [127, 0.5, 1.5, -2.5, -3.5, 126.5],             # s = 1: ties go to the even number
        [1, 0.5, -0.25, 0.1, 0, -1],
        [-1e-30, 1e-32, 0, -0.0, 6e-31, 1e-30],
        [0, 0, 0, -0.0, 0, 0],
    ])  # fmt: skip
    q, scale = quantized.int8_weights(W)
    assert_array_equal(q[0], [127, 0, 2, -2, -4, 126])
    assert_array_equal(q[1], [*INT8_OF_ONE, 0, -127])
    assert_array_equal(q[2], [-127, 1, 0, 0, 76, 127])
    assert_array_equal(q[3], 0)
    assert_array_equal(scale, np.array([1, np.float32(1 / 127), np.float32(1e-30) / np.float32(127), 0], np.float32))


def test_weights_whose_scale_is_coarse():
    """Of subnormal weights: s is a multiple of 2^-149, so quotients pass 127 and are cut; below a half of it s is 0."""
    for largest, step, expected in ((190, 1, 127), (127, 1, 127), (64, 1, 64), (63, 0, 0), (191, 2, 96), (400, 3, 127)):
        for sign in (1, -1):
            q, scale = quantized.int8_weights(np.array([[sign * largest * UNIT, 3 * UNIT]]))
            assert scale[0] == np.float32(step * UNIT)
            assert_array_equal(q, [[sign * expected, round(3 / step) if step else 0]])


def test_activations_by_hand():
    a = np.array([
        [-127, 0.5, 1.5, 2.5, -3.5, 126.5],
        [1, 0.5, -0.25, 0.1, 0, -1],
        [0, 0, 0, -0.0, 0, 0],
        [1, np.nan, 0, 2, 3, 4],
        [1, -np.inf, 0, 2, 3, 4],
        [np.inf, np.nan, 0, 2, 3, 4],
        [LARGEST, -LARGEST, LARGEST / 2, 1, 0, LARGEST / 127],
    ])  # fmt: skip
    q, step = quantized.quantize_rows(a)
    assert_array_equal(q[0], [-127, 0, 2, 2, -4, 126])
    assert_array_equal(q[1], [127, 64, -32, 13, 0, -127])      # 63.5 is a tie here: 127 / 1 is exact
    assert_array_equal(q[2:6], 0)
    assert_array_equal(q[6], [127, -127, 64, 0, 0, 1])
    seventh = np.float32(1) / np.float32(127)
    assert_array_equal(step, np.array([1, seventh, 0, np.nan, np.nan, np.nan, LARGEST / 127], np.float32))
    assert np.isfinite(step[6])


def test_tiny_activations_are_zeros():
    """Below 2^-100: there 127 / m would come near the end of float32. 2^-100 itself counts."""
    at = 2.0**-100
    below = float(np.nextafter(np.float32(at), np.float32(0)))
    a = np.array([[at, -at / 2], [-below, 0], [UNIT, -3 * UNIT], [-at, below]])
    q, step = quantized.quantize_rows(a)
    assert_array_equal(q, [[127, -64], [0, 0], [0, 0], [-127, 127]])
    assert_array_equal(step, np.array([at, 0, 0, at], np.float32) / np.float32(127))


def test_a_product_by_hand():
    """s_w = 2, q = (127, -32, 1); s_a = 1/2, q = (2, 127, -127): sum 254 - 4064 - 127 = -3937, times 1, plus 1/4."""
    W, a = np.array([[254, -64, 2.5]]), np.array([[1, 63.5, -63.5]])
    assert_array_equal(quantized.int8_product(a, W, [0.25]), np.array([[-3936.75]], np.float32))


def test_rows_of_the_unusual():
    """Zeros give the bias; NaN and infinity make a whole row NaN, whatever W has; the others are as they are alone."""
    rng = np.random.default_rng(7)
    W, b = rng.normal(size=(5, 6)), rng.normal(size=5).astype(np.float32)
    W[2] = 0
    a = rng.normal(size=(6, 6)).astype(np.float32)
    a[1], a[2, 3], a[3, 0], a[4] = 0, np.nan, -np.inf, 2.0**-101
    got = quantized.int8_product(a, W, b)
    assert np.isnan(got[[2, 3]]).all() and np.isfinite(got[[0, 1, 4, 5]]).all()
    assert_array_equal(got[[1, 4]], [b, b])
    assert_array_equal(got[[0, 5], 2], b[2])
    for row in (0, 5):
        assert_same_bits(got[row], quantized.int8_product(a[row : row + 1], W, b)[0])


def test_what_is_beyond_float32_becomes_infinite():
    """s_w * s_a may be infinite: then sums give +-inf by their sign, and a sum of 0 gives NaN."""
    W = np.array([[1e30, 1e30], [1e30, -1e30]])
    a = np.array([[3e30, 3e30], [1e4, 1e4]])
    got = quantized.int8_product(a, W, [1.0, 2.0])
    assert_array_equal(got[0], [np.inf, np.nan])
    assert_allclose(got[1], [2e34, 2.0], rtol=1e-6)


def test_margin_is_the_distance_to_a_tie():
    """127 / m is 1 here: 0.5 is a tie, 0.25 is a quarter off, 3 is as far as can be."""
    assert quantized.margin([[127, 3, 0]]) == 0.5
    assert quantized.margin([[127, 3.25, 0]]) == 0.25
    assert quantized.margin([[127, -0.5, 0], [1, 1, 1]]) == 0
    assert quantized.margin(np.zeros((0, 3))) == 0.5
    watched = quantized.Watched(quantized.int8_affine)
    a, W, b = np.array([[127, 3.25]]), np.ones((2, 2)), np.ones(2)
    assert_array_equal(watched(a, W, b), quantized.int8_affine(a, W, b))
    watched(np.array([[127.0, 2.0]]), W, b)
    assert watched.margin == 0.25


def test_dequantized_weights_are_within_half_a_step(rng):
    W = rng.normal(size=(9, 40)).astype(np.float32)
    _, scale = quantized.int8_weights(W)
    off = np.abs(quantized.int8_values(W).astype(float) - W) / scale[:, None]
    assert 0.45 < off.max() <= 0.5 + 1e-5
    assert math.isclose(np.abs(quantized.bfloat16_values(W) / W - 1).max(), 2**-8, rel_tol=0.2)


# ------------------------------------------------------------------------------------------------- bfloat16


def test_bfloat16_by_hand():
    one = 0x3F800000
    bits = np.array(
        [one, one + 0x7FFF, one + 0x8000, one + 0x8001, one + 0x18000, one + 0x1FFFF, 0x8000, 0x8001, 0x18000, 1, 0],
        np.uint32,
    )
    expected = [0x3F80, 0x3F80, 0x3F80, 0x3F81, 0x3F82, 0x3F82, 0, 1, 2, 0, 0]
    for sign in (0, 0x8000):
        values = (bits | np.uint32(sign << 16)).view(np.float32)
        assert_array_equal(quantized.bfloat16_bits(values), np.array(expected) | sign)
    largest = quantized.bfloat16_values([LARGEST, -LARGEST])
    assert_array_equal(largest, [np.inf, -np.inf])


def test_bfloat16_is_pytorch_s(torch, rng):
    """Every exponent, random numbers and ties; zeros and infinities."""
    mantissas = rng.integers(0, 1 << 23, (255, 300), dtype=np.uint32)
    mantissas[:, :100] = mantissas[:, :100] & 0x7F0000 | 0x8000         # in the middle between two
    mantissas[:, 100:103] = 0, 0x7FFFFF, 0x7F8000
    bits = (np.arange(255, dtype=np.uint32)[:, None] << 23 | mantissas).ravel()
    values = np.concatenate([bits, bits | np.uint32(1 << 31)]).view(np.float32)
    values = np.concatenate([values, np.array([np.inf, -np.inf, 0.0, -0.0], np.float32)])
    theirs = torch.from_numpy(values).to(torch.bfloat16)
    assert_array_equal(quantized.bfloat16_bits(values), theirs.view(torch.int16).numpy().view(np.uint16))
    assert_same_bits(quantized.bfloat16_values(values), theirs.float().numpy())
