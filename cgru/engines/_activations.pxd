"""The functions that go over sums: sigmoid, tanh, and the others that converted models use; float32 and float64.

They have no branch and no call that a vector cannot do, so that the compiler turns loops over them into vector code
(expf and log1pf of softplus apart).
"""

from cgru.engines._target cimport fma, fmad, fmaf
from cython cimport floating

cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>
    #include <string.h>

    /* 2^n from t = n + 1.5 * 2^mantissa_bits, whose low bits hold the integer n, -bias <= n <= bias + 1.
       n = -bias gives 0, n = bias + 1 gives inf. */
    static inline float cgru_power_of_2f(float t)
    {
        uint32_t bits;
        memcpy(&bits, &t, sizeof bits);
        bits = (bits + 127u) << 23;
        memcpy(&t, &bits, sizeof bits);
        return t;
    }

    static inline double cgru_power_of_2(double t)
    {
        uint64_t bits;
        memcpy(&bits, &t, sizeof bits);
        bits = (bits + 1023u) << 52;
        memcpy(&t, &bits, sizeof bits);
        return t;
    }
    """
    float power_of_2f "cgru_power_of_2f"(float t) noexcept nogil
    double power_of_2d "cgru_power_of_2"(double t) noexcept nogil
    float fabsf(float x) noexcept nogil
    double fabs(double x) noexcept nogil
    float copysignf(float x, float y) noexcept nogil
    double copysign(double x, double y) noexcept nogil
    float expf(float x) noexcept nogil
    double exp(double x) noexcept nogil
    float log1pf(float x) noexcept nogil
    double log1p(double x) noexcept nogil


cdef inline floating exp_parts(floating x, floating* scale) noexcept nogil:
    """p and scale = 2^n with e^x = scale * (1 + p) and |p| < 0.42; the caller has clamped x.

    n = round(x / ln 2), r = x - n ln 2 (ln 2 in two parts, the first with trailing zeros, so that n times it
    is exact), p = r + r^2 q(r) with q a Chebyshev interpolant of (e^r - 1 - r) / r^2 on |r| <= 0.347
    (relative error of p: 2.5e-8 and 5.5e-19).
    """
    cdef floating t, n, r, q
    if floating is float:
        t = fmaf(x, <float>1.44269504088896341, <float>12582912.0)
        n = t - <float>12582912.0
        r = fmaf(n, <float>-0.693359375, x)
        r = fmaf(n, <float>2.12194440054690583e-4, r)
        q = <float>0.0013926213141530752
        q = fmaf(q, r, <float>0.008363203145563602)
        q = fmaf(q, r, <float>0.041666556149721146)
        q = fmaf(q, r, <float>0.16666576266288757)
        q = fmaf(q, r, <float>0.5)
        scale[0] = power_of_2f(t)
        return fmaf(r * r, q, r)
    else:
        t = fmad(x, 1.44269504088896341, 6755399441055744.0)
        n = t - 6755399441055744.0
        r = fmad(n, -0.693145751953125, x)
        r = fmad(n, -1.42860682030941723212e-6, r)
        q = 2.0914717341716378e-09
        q = fmad(q, r, 2.5105259538448494e-08)
        q = fmad(q, r, 2.755727357010214e-07)
        q = fmad(q, r, 2.7557255297969643e-06)
        q = fmad(q, r, 2.4801587325605324e-05)
        q = fmad(q, r, 0.0001984126987490126)
        q = fmad(q, r, 0.001388888888888373)
        q = fmad(q, r, 0.008333333333326112)
        q = fmad(q, r, 0.04166666666666667)
        q = fmad(q, r, 0.1666666666666667)
        q = fmad(q, r, 0.5)
        scale[0] = power_of_2d(t)
        return fmad(r * r, q, r)


cdef inline floating sigmoid(floating x) noexcept nogil:
    """1 / (1 + e^-x); exactly 0 and 1 at -inf and +inf; NaN stays NaN (so the clamps are written this way)."""
    cdef floating low, high, a, p, scale
    if floating is float:
        low, high = -88.0, 89.0
    else:
        low, high = -708.0, 710.0
    a = -x
    a = low if a < low else a
    a = high if a > high else a
    p = exp_parts(a, &scale)
    return <floating>1.0 / fma(scale, <floating>1.0 + p, <floating>1.0)


cdef inline floating tanh(floating x) noexcept nogil:
    """E / (E + 2) with E = e^2|x| - 1, which keeps the relative error small near 0; odd to the last bit."""
    cdef floating y, high, p, scale, e
    if floating is float:
        high = 20.0
        y = <float>2.0 * fabsf(x)
    else:
        high = 44.0
        y = 2.0 * fabs(x)
    y = high if y > high else y
    p = exp_parts(y, &scale)
    e = fma(scale, p, scale - <floating>1.0)
    if floating is float:
        return copysignf(e / (e + <float>2.0), x)
    else:
        return copysign(e / (e + 2.0), x)


cdef enum:                              # in the order of cgru/activations.py, which has the formulas
    SIGMOID, TANH, HARD_SIGMOID, RELU, LINEAR, SOFTSIGN, LEAKY_RELU, ELU, SOFTPLUS, SCALED_TANH


cdef struct Activation:
    int code                            # one of the above
    double alpha, beta


cdef struct Activations:                # of one cell
    Activation f, g, h                  # of gates, candidate, and an LSTM's output; see cgru/cells.py
    double clip                         # their arguments are clamped to +-clip; 0: not
    bint plain                          # sigmoid, tanh and tanh without clip


cdef inline floating activate(floating x, const Activation* act) noexcept nogil:
    cdef floating alpha = <floating>act.alpha, beta = <floating>act.beta, zero = 0.0, one = 1.0, p, scale, low
    if act.code == HARD_SIGMOID:
        x = fma(alpha, x, beta)
        x = zero if x < zero else x
        return one if x > one else x
    if act.code == RELU:
        return zero if x < zero else x
    if act.code == LINEAR:
        return fma(alpha, x, beta)
    if act.code == SOFTSIGN:
        p = fabsf(x) if floating is float else fabs(x)
        if p > <floating>1e30:      # inf / inf would be NaN
            return one if x > zero else -one
        return x / (one + p)
    if act.code == LEAKY_RELU:
        return alpha * x if x < zero else x
    if act.code == ELU:
        low = -80.0
        p = exp_parts(low if x < low else (zero if x > zero else x), &scale)
        return alpha * fma(scale, p, scale - one) if x < zero else x
    if act.code == SOFTPLUS:
        # log(1 + e^x) = max(x, 0) + log1p(e^-|x|)
        if floating is float:
            return (zero if x < zero else x) + log1pf(expf(-fabsf(x)))
        else:
            return (zero if x < zero else x) + log1p(exp(-fabs(x)))
    if act.code == SCALED_TANH:
        return alpha * tanh(beta * x)
    return tanh(x) if act.code == TANH else sigmoid(x)


cdef inline floating clamp(floating x, double clip) noexcept nogil:
    cdef floating high = <floating>clip
    if clip > 0:
        x = high if x > high else x
        x = -high if x < -high else x
    return x


# `plain` is a compile-time constant at every call: sigmoid, tanh and tanh without a clip make straight vector code.

cdef inline floating apply_f(bint plain, const Activations* act, floating x) noexcept nogil:
    return sigmoid(x) if plain else activate(clamp(x, act.clip), &act.f)


cdef inline floating apply_g(bint plain, const Activations* act, floating x) noexcept nogil:
    return tanh(x) if plain else activate(clamp(x, act.clip), &act.g)


cdef inline floating apply_h(bint plain, const Activations* act, floating x) noexcept nogil:
    return tanh(x) if plain else activate(clamp(x, act.clip), &act.h)


cdef inline Activations activations_of(f, g, h, double clip):
    """From (code, alpha, beta) of f, g and h, and a clip, 0 for none."""
    cdef Activations act
    act.f.code, act.f.alpha, act.f.beta = f
    act.g.code, act.g.alpha, act.g.beta = g
    act.h.code, act.h.alpha, act.h.beta = h
    act.clip = clip
    act.plain = act.f.code == SIGMOID and act.g.code == TANH and act.h.code == TANH and clip == 0
    return act
