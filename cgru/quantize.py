"""Matrices of weights in 16 and 8 bits, and what is computed with them.

Inputs, states, outputs, gates and biases stay float32. Every operation below is one of float32, rounded by itself, to
nearest and to even where two are as near; nothing is fused.

bfloat16
    A weight is rounded once to 16 bits, the upper half of a float32 number, and expanded again in registers: products
    and their order are those of float32. So such a model has the bits of its `dequantize()`.

int8
    Weights, row by row of a matrix, once::

        s_w = max_k |w_k| / 127
        q_k = rint(w_k / s_w)                   from -127 to 127; the quotient in float64; 0 where s_w is 0

    Activations (x, h, and r h of reset_after=False), row by row of a batch, at every step::

        m   = max_k |a_k|
        s_a = m / 127                           0 where m is below 2^-100; NaN where an a_k is NaN or infinite
        p_k = rint(a_k * (127 / m))             from -127 to 127; 0 in both of these cases

    Products::

        float32(sum_k q_k p_k) * (s_w * s_a) + b

    The sum is exact, in integers, so its order, the tile and the instruction set cannot matter, and what a row gives
    depends on that row alone. A row with NaN or infinity in x is NaN as a whole at that step, and its state from then
    on; other rows keep their bits.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from cgru.checks import frozen

WEIGHT_DTYPES = ("bfloat16", "int8")
MOST_FEATURES = (2**31 - 1) // 127**2       # of a row of int8 weights: its sum must be an int32


@dataclasses.dataclass(frozen=True, eq=False)
class Quantized:
    """A matrix (M, K) of weights in 16 or 8 bits, read-only.

    Attributes
    ----------
    values : ndarray
        (M, K): uint16, the upper halves of float32 numbers, or int8, -127 to 127.
    scale : ndarray or None
        (M,) float32: of int8, what a row is multiplied by.

    Raises
    ------
    TypeError
        Arrays of other types.
    ValueError
        Shapes that do not belong together; numbers that `quantized` does not make: -128, scales that are negative or
        not finite, weights other than 0 with a scale of 0; bfloat16 that is not finite.
    """

    values: np.ndarray
    scale: np.ndarray | None = None

    def __post_init__(self):
        if not isinstance(self.values, np.ndarray):
            raise TypeError(f"quantised weights must be an array; got {type(self.values).__name__}")
        object.__setattr__(self, "values", frozen(self.values, self.values.dtype.newbyteorder("=")))
        if self.values.ndim != 2:
            raise ValueError(f"quantised weights have shape {self.values.shape}, expected two dimensions")
        if self.values.dtype == np.uint16:
            self._check_bfloat16()
        elif self.values.dtype == np.int8:
            self._check_int8()
        else:
            raise TypeError(f"quantised weights have dtype {self.values.dtype}, expected uint16 (bfloat16) or int8")

    def _check_bfloat16(self):
        if self.scale is not None:
            raise TypeError("bfloat16 weights have no scale")
        if ((self.values & 0x7F80) == 0x7F80).any():
            raise ValueError("NaN or infinity in bfloat16 weights")

    def _check_int8(self):
        if not isinstance(self.scale, np.ndarray) or self.scale.dtype.newbyteorder("=") != np.float32:
            raise TypeError(f"the scale of int8 weights must be float32; got {getattr(self.scale, 'dtype', 'none')}")
        object.__setattr__(self, "scale", frozen(self.scale, np.float32))
        if self.scale.shape != self.values.shape[:1]:
            raise ValueError(f"the scale has shape {self.scale.shape}, expected {self.values.shape[:1]}: one per row")
        with np.errstate(over="ignore"):
            greatest = self.scale * np.float32(127)
        if not (np.isfinite(greatest) & (self.scale >= 0)).all():
            raise ValueError("the scale holds numbers that are negative, not finite or too large")
        if (self.values == -128).any():
            raise ValueError("an int8 weight is -128, expected -127 to 127")
        if self.values[self.scale == 0].any():
            raise ValueError("a row of int8 weights has the scale 0, and weights other than 0")
        if self.values.shape[1] > MOST_FEATURES:
            raise ValueError(f"int8 weights have {self.values.shape[1]} columns, expected at most {MOST_FEATURES}")

    @property
    def weight_dtype(self) -> str:
        """Its type's name: "bfloat16" or "int8"."""
        return "bfloat16" if self.scale is None else "int8"

    @property
    def shape(self) -> tuple[int, ...]:
        """(M, K)."""
        return self.values.shape

    @property
    def size(self) -> int:
        """How many weights there are."""
        return self.values.size

    @property
    def nbytes(self) -> int:
        """Bytes of the weights and scales."""
        return self.values.nbytes + (0 if self.scale is None else self.scale.nbytes)

    def float32(self) -> np.ndarray:
        """The weights that it stands for: a new array (M, K)."""
        if self.scale is None:
            return (self.values.astype(np.uint32) << 16).view(np.float32)
        return self.values * self.scale[:, None]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quantized):
            return NotImplemented
        return np.array_equal(self.values, other.values) and (
            self.scale is other.scale is None
            or (self.scale is not None and other.scale is not None and np.array_equal(self.scale, other.scale))
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self):
        return Quantized, (self.values, self.scale)


def quantized(name: str, matrix: np.ndarray, weight_dtype: str) -> Quantized:
    """Round a float32 matrix.

    Parameters
    ----------
    name : str
        What an error calls it.
    matrix : ndarray
        (M, K) float32.
    weight_dtype : {"bfloat16", "int8"}

    Raises
    ------
    TypeError
        The matrix is no float32 array.
    ValueError
        A weight that is not finite, or would not be in bfloat16; too many columns for int8; another type.
    """
    check_weight_dtype(weight_dtype)
    if not isinstance(matrix, np.ndarray) or matrix.dtype != np.float32 or matrix.ndim != 2:
        found = f"{matrix.dtype} {matrix.shape}" if isinstance(matrix, np.ndarray) else type(matrix).__name__
        raise TypeError(f"{name} must be a float32 matrix to be quantised; got {found}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} holds NaN or infinity, which {weight_dtype} weights do not have")
    if weight_dtype == "bfloat16":
        bits = matrix.view(np.uint32)
        values = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)       # to nearest, ties to even
        if ((values & 0x7F80) == 0x7F80).any():
            raise ValueError(f"{name} holds numbers that are beyond bfloat16, {np.abs(matrix).max():g}")
        return Quantized(values)
    if matrix.shape[1] > MOST_FEATURES:
        raise ValueError(f"{name} has {matrix.shape[1]} columns; int8 weights take at most {MOST_FEATURES} features")
    with np.errstate(under="ignore"):       # of subnormal weights
        scale = np.abs(matrix).max(axis=1, initial=0) / np.float32(127)
        quotients = matrix / np.where(scale == 0, np.inf, scale)[:, None].astype(np.float64)
    return Quantized(np.rint(quotients).clip(-127, 127).astype(np.int8), scale)


def check_weight_dtype(weight_dtype: object) -> None:
    """Raise ValueError unless it is one to quantise to."""
    if not isinstance(weight_dtype, str) or weight_dtype not in WEIGHT_DTYPES:
        names = " or ".join(map(repr, WEIGHT_DTYPES))
        raise ValueError(f"weight_dtype must be {names}; got {weight_dtype!r}")
