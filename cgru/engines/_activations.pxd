"""The functions that go over sums: sigmoid, tanh, and the others that converted models use; float32 and float64.

sigmoid and tanh have no branch and no call, so that the compiler turns loops over them into vector code. The others are
called for one number at a time.
"""

from cgru.engines._target cimport fma
from cython cimport floating

cdef extern from *:
    """
    #include <math.h>       /* of which compilers know fabs, copysign and fma themselves: nothing of libm is linked */
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

    /* In the order of the enum of constants. */
    static const volatile float cgru_constants_float[] = {
        1.44269504088896341f, 12582912.0f, -0.693359375f, 2.12194440054690583e-4f, 1.0f, 2.0f, -89.0f, 88.0f, 20.0f,
        0.0013926213141530752f, 0.008363203145563602f, 0.041666556149721146f, 0.16666576266288757f, 0.5f};
    static const volatile double cgru_constants_double[] = {
        1.44269504088896341, 6755399441055744.0, -0.693145751953125, -1.42860682030941723212e-6, 1.0, 2.0, -710.0,
        708.0, 44.0,
        2.0914717341716378e-09, 2.5105259538448494e-08, 2.755727357010214e-07, 2.7557255297969643e-06,
        2.4801587325605324e-05, 0.0001984126987490126, 0.001388888888888373, 0.008333333333326112,
        0.04166666666666667, 0.1666666666666667, 0.5};

    /* (log((1 + s) / (1 - s)) - 2 s) / s^3 in powers of s^2, the highest first */
    static const float cgru_log_float[] = {
        0.26851498022837152f, 0.28236619805310481f, 0.40007560644911206f, 0.6666664033669924f};
    static const double cgru_log_double[] = {
        0.16164045611943532, 0.088007384861446739, 0.12001072809590713, 0.13314144209654936, 0.15385570064958623,
        0.18181789436132858, 0.22222222717427863, 0.28571428567108757, 0.40000000000014583, 0.66666666666666659};
    """
    const float* constants_float "cgru_constants_float"
    const double* constants_double "cgru_constants_double"
    float power_of_2f "cgru_power_of_2f"(float t) noexcept nogil
    double power_of_2d "cgru_power_of_2"(double t) noexcept nogil
    float fabsf(float x) noexcept nogil
    double fabs(double x) noexcept nogil
    float copysignf(float x, float y) noexcept nogil
    double copysign(double x, double y) noexcept nogil
    const float* log_float "cgru_log_float"
    const double* log_double "cgru_log_double"


cdef enum:                              # constants of sigmoid and tanh, as load_constants puts them
    LOG2_E, ROUNDER, LN2_HIGH, LN2_LOW, ONE, TWO, LOWEST, HIGHEST, TANH_HIGHEST, POLYNOMIAL
    COEFFICIENTS = 5                    # of the polynomial in float32, and in float64
    COEFFICIENTS_DOUBLE = 11
    LOG_COEFFICIENTS = 4
    LOG_COEFFICIENTS_DOUBLE = 10
    CONSTANTS = POLYNOMIAL + COEFFICIENTS_DOUBLE


cdef inline void load_constants(floating* k) noexcept nogil:
    """Fill k, CONSTANTS numbers. Loops over gates do it once, before they begin.

    They are read as from a device (volatile). A literal would be loaded anew for every block of units, and would make
    the clamps in `sigmoid` and `tanh` compares and blends: gcc 12 then writes the literal second, and so misses the
    form of a min or max. From an array whose values it cannot know, it keeps all of them in registers.
    """
    cdef Py_ssize_t i
    if floating is float:
        for i in range(POLYNOMIAL + COEFFICIENTS):
            k[i] = constants_float[i]
    else:
        for i in range(CONSTANTS):
            k[i] = constants_double[i]


cdef inline floating exp_parts(floating x, floating* scale, const floating* k) noexcept nogil:
    """p and scale = 2^n with e^x = scale * (1 + p) and |p| < 0.42; the caller has clamped x.

    n = round(x / ln 2), r = x - n ln 2 (ln 2 in two parts, the first with trailing zeros, so that n times it
    is exact), p = r + r^2 q(r) with q a Chebyshev interpolant of (e^r - 1 - r) / r^2 on |r| <= 0.347
    (relative error of p: 2.5e-8 and 5.5e-19).
    """
    cdef floating t, n, r, q
    cdef Py_ssize_t i
    t = fma(x, k[LOG2_E], k[ROUNDER])
    n = t - k[ROUNDER]
    r = fma(n, k[LN2_HIGH], x)
    r = fma(n, k[LN2_LOW], r)
    q = k[POLYNOMIAL]
    if floating is float:
        for i in range(1, COEFFICIENTS):
            q = fma(q, r, k[POLYNOMIAL + i])
        scale[0] = power_of_2f(t)
    else:
        for i in range(1, COEFFICIENTS_DOUBLE):
            q = fma(q, r, k[POLYNOMIAL + i])
        scale[0] = power_of_2d(t)
    return fma(r * r, q, r)


# The clamps below are minima and maxima in the form that processors have: of a NaN and a bound they leave the NaN.

cdef inline floating sigmoid(floating x, const floating* k) noexcept nogil:
    """1 / (1 + e^-x); exactly 0 and 1 at -inf and +inf; NaN stays NaN."""
    cdef floating low = k[LOWEST], high = k[HIGHEST], p, scale
    x = high if high < x else x
    x = low if x < low else x
    p = exp_parts(-x, &scale, k)
    return k[ONE] / fma(scale, k[ONE] + p, k[ONE])


cdef inline floating tanh(floating x, const floating* k) noexcept nogil:
    """E / (E + 2) with E = e^2|x| - 1, which keeps the relative error small near 0; odd to the last bit."""
    cdef floating high = k[TANH_HIGHEST], y, p, scale, e
    if floating is float:
        y = k[TWO] * fabsf(x)
    else:
        y = k[TWO] * fabs(x)
    y = high if high < y else y
    p = exp_parts(y, &scale, k)
    e = fma(scale, p, scale - k[ONE])
    if floating is float:
        return copysignf(e / (e + k[TWO]), x)
    else:
        return copysign(e / (e + k[TWO]), x)


cdef inline floating softplus(floating x, const floating* k) noexcept nogil:
    """log(1 + e^x) = max(x, 0) + log(1 + u) with u = e^-|x|; exactly 0 and inf at -inf and +inf; NaN stays NaN.

    log(1 + u) = log((1 + s) / (1 - s)) with s = u / (2 + u) <= 1/3, of which a Chebyshev interpolant in s^2 takes what
    lies beyond 2 s (relative error of the sum: 1.6e-8 and 5e-18). u is 0 below e^-87 and e^-707.
    """
    cdef floating high = k[HIGHEST], zero = 0.0, y, p, scale, u, s, square, q
    cdef Py_ssize_t i
    if floating is float:
        y = fabsf(x)
    else:
        y = fabs(x)
    y = high if high < y else y
    p = exp_parts(-y, &scale, k)
    u = fma(scale, p, scale)
    s = u / (u + k[TWO])
    square = s * s
    if floating is float:
        q = log_float[0]
        for i in range(1, LOG_COEFFICIENTS):
            q = fma(q, square, log_float[i])
    else:
        q = log_double[0]
        for i in range(1, LOG_COEFFICIENTS_DOUBLE):
            q = fma(q, square, log_double[i])
    return fma(s * square, q, k[TWO] * s) + (zero if x < zero else x)


cdef enum:                              # in the order of cgru/activations.py, which has the formulas
    SIGMOID, TANH, HARD_SIGMOID, RELU, LINEAR, SOFTSIGN, LEAKY_RELU, ELU, SOFTPLUS, SCALED_TANH


cdef struct Activation


cdef struct Activation:
    int code                            # one of the above
    double alpha, beta
    # `activate` for one number: a call, since inlined ten cases for each gate would be most of a module
    float (*of_float)(float x, const Activation* act, const float* k) noexcept nogil
    double (*of_double)(double x, const Activation* act, const double* k) noexcept nogil


cdef struct Activations:                # of one cell
    Activation f, g, h                  # of gates, candidate, and an LSTM's output; see cgru/cells.py
    double clip                         # the arguments of f and g are clamped to +-clip; 0: not
    bint plain                          # sigmoid, tanh and tanh without clip


cdef inline floating activate(floating x, const Activation* act, const floating* k) noexcept nogil:
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
        p = exp_parts(low if x < low else (zero if x > zero else x), &scale, k)
        return alpha * fma(scale, p, scale - one) if x < zero else x
    if act.code == SOFTPLUS:
        return softplus(x, k)
    if act.code == SCALED_TANH:
        return alpha * tanh(beta * x, k)
    return tanh(x, k) if act.code == TANH else sigmoid(x, k)


cdef inline floating apply(floating x, const Activation* act, double clip, const floating* k) noexcept nogil:
    """act of x clamped to +-clip."""
    cdef floating high = <floating>clip
    if clip > 0:
        x = high if x > high else x
        x = -high if x < -high else x
    if floating is float:
        return act.of_float(x, act, k)
    else:
        return act.of_double(x, act, k)


# `plain` is a compile-time constant at every call: sigmoid, tanh and tanh without a clip make straight vector code.

cdef inline floating apply_f(bint plain, const Activations* act, floating x, const floating* k) noexcept nogil:
    return sigmoid(x, k) if plain else apply(x, &act.f, act.clip, k)


cdef inline floating apply_g(bint plain, const Activations* act, floating x, const floating* k) noexcept nogil:
    return tanh(x, k) if plain else apply(x, &act.g, act.clip, k)


cdef inline floating apply_h(bint plain, const Activations* act, floating x, const floating* k) noexcept nogil:
    return tanh(x, k) if plain else apply(x, &act.h, 0, k)      # c is no sum of products: ONNX Runtime leaves it too


cdef inline Activation activation_of(given):
    cdef Activation act
    act.code, act.alpha, act.beta = given
    act.of_float, act.of_double = activate[float], activate[double]
    return act


cdef inline Activations activations_of(f, g, h, double clip):
    """From (code, alpha, beta) of f, g and h, and a clip, 0 for none."""
    cdef Activations act
    act.f, act.g, act.h, act.clip = activation_of(f), activation_of(g), activation_of(h), clip
    act.plain = act.f.code == SIGMOID and act.g.code == TANH and act.h.code == TANH and clip == 0
    return act
