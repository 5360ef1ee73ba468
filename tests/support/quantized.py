"""The oracle of quantised weights: their numbers, those of the activations, and the products, to the last bit.

Written from the definition, with nothing of cgru's own: float32 where it says so, integers in int64, one rounding per
operation. The gates and the time loop are those of reference.py, which takes `AFFINE[...]` for its products. The tests
in oracle/ prove it with Python's integers and fractions.
"""

import numpy as np

from support import reference

#: Rows of activations below this are taken for zeros.
SMALLEST = np.float32(2.0**-100)
LEVELS = np.float32(127)


# --------------------------------------------------------------------------------------------- the numbers


def bfloat16_bits(values):
    """The upper 16 bits of float32 numbers, rounded to nearest even; uint16. No NaN: rounding may make inf of it."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    kept, cut = bits >> 16, bits & 0xFFFF
    up = (cut > 0x8000) | ((cut == 0x8000) & (kept % 2 == 1))
    return (kept + up).astype(np.uint16)


def bfloat16_values(values):
    """The float32 numbers that those bits stand for."""
    return (bfloat16_bits(values).astype(np.uint32) << 16).view(np.float32)


def int8_weights(W):
    """Rows of finite weights (M, K): q (M, K) in -127..127, int64, and the scales (M,), float32.

    ::

        s_i = max_k |w_ik| / 127                               in float32
        q_ik = rint(w_ik / s_i), clamped to -127..127          divided in float64; 0 where s_i is 0
    """
    W = np.asarray(W, np.float32)
    scale = np.abs(W).max(axis=1) / LEVELS
    divisor = np.where(scale == 0, np.float32(1), scale).astype(np.float64)
    q = np.clip(np.rint(W.astype(np.float64) / divisor[:, None]), -127, 127)
    return np.where(scale[:, None] == 0, 0, q).astype(np.int64), scale


def int8_values(W):
    """The float32 numbers that quantised weights stand for: q times s."""
    q, scale = int8_weights(W)
    return q.astype(np.float32) * scale[:, None]


def in_steps(a):
    """Rows of activations (N, K) as multiples of their steps, not yet rounded, float32, and the steps (N,).

    ::

        m = max_k |a_k|
        m not finite:     step NaN, all multiples 0
        m below 2^-100:   step 0, all multiples 0
        else:             step m / 127, multiples a_k * (127 / m)
    """
    a = np.asarray(a, np.float32)
    m = np.abs(a).max(axis=1)                       # NaN where one of them is NaN
    counted = np.isfinite(m) & (m >= SMALLEST)
    some = np.where(counted, m, np.float32(1))
    multiples = np.where(counted[:, None], a, np.float32(0)) * (LEVELS / some)[:, None]
    step = np.where(counted, some / LEVELS, np.where(np.isfinite(m), np.float32(0), np.float32(np.nan)))
    return multiples, step


def quantize_rows(a):
    """Rows of activations (N, K): q (N, K) in -127..127, ties to even, int64, and their scales (N,), float32."""
    multiples, step = in_steps(a)
    return np.rint(multiples).astype(np.int64), step


def margin(a):
    """How far the nearest activation is from a tie, where a last bit would decide on q; in 0..1/2."""
    multiples, _ = in_steps(a)
    return np.abs(np.abs(multiples - np.rint(multiples)) - 0.5).min(initial=0.5)


# -------------------------------------------------------------------------------------------- the products


def int8_product(a, W, b):
    """W a + b for every row of a (N, K); W (M, K), b (M,). float32 (N, M), to the last bit.

    ::

        sum_i = sum_k q_ik q_k                                 integers, exact
        (W a + b)_i = float32(sum_i) * (s_i * step) + b_i      float32: a product, a product, an addition
    """
    q, scale = int8_weights(W)
    q_a, step = quantize_rows(a)
    sums = (q_a @ q.T).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return sums * (scale * step[:, None]) + np.asarray(b, np.float32)


def int8_affine(a, W, b):
    """`int8_product` in the place of `reference.affine`: float64 out, and so are the gates."""
    return int8_product(a, W, b).astype(np.float64)


def bfloat16_affine(a, W, b):
    """`reference.affine` with rounded weights: bfloat16 rounds nothing else."""
    return reference.affine(a, bfloat16_values(W).astype(np.float64), b)


QUANTIZED = ("bfloat16", "int8")

#: weight type -> what `reference.gru`, `rnn`, `lstm` take as `affine`
AFFINE = {"float32": reference.affine, "bfloat16": bfloat16_affine, "int8": int8_affine}

#: weight type -> the float32 numbers that weights are rounded to
ROUNDED = {"float32": np.float32, "bfloat16": bfloat16_values, "int8": int8_values}


class Watched:
    """An affine function that notes the smallest `margin` of what it was given."""

    def __init__(self, affine):
        self.affine, self.margin = affine, 0.5

    def __call__(self, a, W, b):
        self.margin = min(self.margin, margin(a))
        return self.affine(a, W, b)


def dequantized(state, weight_dtype):
    """A state dict of float32 arrays with its matrices rounded."""
    return {
        name: ROUNDED[weight_dtype](values) if name.startswith("weight") else np.float32(values)
        for name, values in state.items()
    }
