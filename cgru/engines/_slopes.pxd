"""The derivatives of the activations (_activations.pxd), for all backward passes; softmax's is in _softmax.pxd.

At a kink they are PyTorch's: relu 0, hard_sigmoid 0 at both, leaky_relu and elu alpha. A clip's is 1 at its bounds, as
that of torch.clamp.
"""

from cgru.engines._activations cimport (
    ELU, GELU, GELU_TANH, HARD_SIGMOID, LEAKY_RELU, LINEAR, RELU, SCALED_TANH, SILU, SOFTPLUS, SOFTSIGN, TANH,
    Activation,
)
from cgru.engines._functions cimport (
    CONSTANTS, HIGHEST, ONE, exp_of_minus_magnitude, gelu_tanh_argument, load_constants, magnitude, normal_tail,
    sigmoid, tanh,
)
from cgru.engines._target cimport fma
from cython cimport floating


cdef inline floating logistic_slope(floating v, floating factor, const floating* k) noexcept nogil:
    """s(v) + factor s(v) s(-v), of which neither cancels: with e = e^-|v| they are 1 / (1 + e) and e / (1 + e)."""
    cdef floating zero = 0.0, e = exp_of_minus_magnitude(v, k), large, small
    large = k[ONE] / (k[ONE] + e)
    small = e * large
    return fma(factor * large, small, small if v < zero else large)


cdef inline floating silu_slope(floating a, const floating* k) noexcept nogil:
    """s(a) + a s(a) s(-a); 0 and 1 at -inf and +inf."""
    cdef floating high = k[HIGHEST]
    a = high if high < a else a
    a = -high if a < -high else a
    return logistic_slope(a, a, k)


cdef inline floating gelu_slope(floating a, const floating* k) noexcept nogil:
    """Phi(a) + a Phi'(a); 0 and 1 at -inf and +inf."""
    cdef floating most = 40.0, zero = 0.0, density = 0.3989422804014327, bell, tail
    a = most if most < a else a
    a = -most if a < -most else a
    tail = normal_tail(magnitude(a), &bell, k)
    return fma(a * density, bell, tail if a < zero else k[ONE] - tail)


cdef inline floating gelu_tanh_slope(floating a, const floating* k) noexcept nogil:
    """a s(v) with v = c (a + 0.044715 a^3), c = 2 sqrt(2 / pi): s(v) + a s(v) s(-v) v'; 0 and 1 at -inf and +inf."""
    cdef floating most = 30.0, first = 1.5957691216057308, third = 0.21406444881780073
    a = most if most < a else a
    a = -most if a < -most else a
    return logistic_slope(gelu_tanh_argument(a), a * fma(third * a, a, first), k)


cdef inline floating slope(const Activation* act, floating a, floating y, const floating* k) noexcept nogil:
    """f'(a) from what went in, a, and what came out, y; every activation but softmax.

    Off by 2e-7 and 4.5e-16 at most (measured, with the default parameters).
    """
    cdef floating alpha = <floating>act.alpha, beta = <floating>act.beta, zero = 0.0, one = 1.0, p
    if act.code == TANH:
        return fma(-y, y, one)
    if act.code == HARD_SIGMOID:
        return alpha if zero < y and y < one else zero
    if act.code == RELU:
        return zero if a <= zero else one
    if act.code == LINEAR:
        return alpha
    if act.code == SOFTSIGN:
        p = one / (one + magnitude(a))
        return p * p
    if act.code == LEAKY_RELU:
        return alpha if a <= zero else one
    if act.code == ELU:
        return y + alpha if a <= zero else one
    if act.code == SOFTPLUS:
        return sigmoid(a, k)
    if act.code == SCALED_TANH:
        p = tanh(beta * a, k)
        return alpha * beta * fma(-p, p, one)
    if act.code == SILU:
        return silu_slope(a, k)
    if act.code == GELU:
        return gelu_slope(a, k)
    if act.code == GELU_TANH:
        return gelu_tanh_slope(a, k)
    return y * (one - y)                            # sigmoid


cdef struct Slopes:                     # `slopes_of`: calls, since it is long, and wanted in several places
    void (*of_float)(
        const Activation* act, double clip, Py_ssize_t count, const float* a, const float* y, float* out
    ) noexcept nogil
    void (*of_double)(
        const Activation* act, double clip, Py_ssize_t count, const double* a, const double* y, double* out
    ) noexcept nogil


cdef inline void slopes_of(
    const Activation* act, double clip, Py_ssize_t count,
    const floating* a, const floating* y,                            # IN what went in, before the clip; what came out
    floating* out,                                                   # OUT
) noexcept nogil:
    """The slopes of many numbers, which were clamped to +-clip first; 0: they were not."""
    cdef floating k[CONSTANTS]
    cdef floating high = <floating>clip, zero = 0.0
    cdef Py_ssize_t j
    load_constants(&k[0])
    for j in range(count):
        out[j] = slope(act, a[j], y[j], &k[0])
    if clip > 0:
        for j in range(count):
            if a[j] > high or a[j] < -high:
                out[j] = zero


cdef inline void take_slopes(
    const Slopes* slopes, const Activation* act, double clip, Py_ssize_t count, const floating* a, const floating* y,
    floating* out,
) noexcept nogil:
    """`slopes_of`, called."""
    if floating is float:
        slopes.of_float(act, clip, count, a, y, out)
    else:
        slopes.of_double(act, clip, count, a, y, out)
