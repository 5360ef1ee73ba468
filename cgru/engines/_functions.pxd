"""The functions that go over sums, in float32 and float64: sigmoid, tanh, softplus, SiLU and GELU.

None has a branch or a call, so that the compiler turns loops over them into vector code.
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
    /* e^(y^2 / 2) Phi(-y) in powers of (y - c) / (y + c), c = 3.75 and 5, the highest first; before them the largest y,
       where e^(-y^2 / 2) has become 0, and c */
    static const float cgru_tail_float[] = {
        13.27f, 3.75f,
        -0.0022619992960244417f, -0.006577970925718546f, 0.024110881611704826f, -0.0676598846912384f,
        0.1254016011953354f, -0.17847277224063873f, 0.10003890097141266f};
    static const double cgru_tail_double[] = {
        37.66, 5.0,
        -1.9208938085690138e-07, -1.1514379806925098e-06, -4.147266811108161e-07, 1.0269163758405454e-05,
        7.111446233569529e-06, -5.3806432698587226e-05, 0.00013929395309030928, 0.00022233091785264062,
        -0.002377703117289443, 0.008991716837108603, -0.0234138239645603, 0.047855364241315326, -0.08088387600874535,
        0.11606881196694246, -0.1434575552613346, 0.07691930497503406};
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
    const float* tail_float "cgru_tail_float"
    const double* tail_double "cgru_tail_double"


cdef enum:                              # constants of sigmoid and tanh, as load_constants puts them
    LOG2_E, ROUNDER, LN2_HIGH, LN2_LOW, ONE, TWO, LOWEST, HIGHEST, TANH_HIGHEST, POLYNOMIAL
    COEFFICIENTS = 5                    # of the polynomial in float32, and in float64
    COEFFICIENTS_DOUBLE = 11
    LOG_COEFFICIENTS = 4
    LOG_COEFFICIENTS_DOUBLE = 10
    TAIL_HIGHEST = 0                    # in the tables of normal_tail
    TAIL_CENTRE = 1
    TAIL_POLYNOMIAL = 2
    TAIL_COEFFICIENTS = 7
    TAIL_COEFFICIENTS_DOUBLE = 16
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


cdef inline floating magnitude(floating x) noexcept nogil:
    """|x|."""
    if floating is float:
        return fabsf(x)
    else:
        return fabs(x)


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
    y = k[TWO] * magnitude(x)
    y = high if high < y else y
    p = exp_parts(y, &scale, k)
    e = fma(scale, p, scale - k[ONE])
    if floating is float:
        return copysignf(e / (e + k[TWO]), x)
    else:
        return copysign(e / (e + k[TWO]), x)


cdef inline floating exp_of_minus_magnitude(floating x, const floating* k) noexcept nogil:
    """e^-|x|, of which what is below e^-HIGHEST counts as that; NaN stays NaN."""
    cdef floating high = k[HIGHEST], y = magnitude(x), p, scale
    y = high if high < y else y
    p = exp_parts(-y, &scale, k)
    return fma(scale, p, scale)


cdef inline floating softplus(floating x, const floating* k) noexcept nogil:
    """log(1 + e^x) = max(x, 0) + log(1 + u) with u = e^-|x|; 0 (3e-308) and inf at -inf and +inf; NaN stays NaN.

    log(1 + u) = log((1 + s) / (1 - s)) with s = u / (2 + u) <= 1/3, of which a Chebyshev interpolant in s^2 takes what
    lies beyond 2 s (relative error of the sum: 1.6e-8 and 5e-18). u is 0 below e^-87, and e^-708 at least.
    """
    cdef floating zero = 0.0, u = exp_of_minus_magnitude(x, k), s, square, q
    cdef Py_ssize_t i
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


cdef inline floating silu(floating x, const floating* k) noexcept nogil:
    """x / (1 + e^-x); -0 and inf at -inf and +inf; NaN stays NaN. Off by 1.2e-7 and 4e-16 at most (measured)."""
    cdef floating low = k[LOWEST], high = k[HIGHEST], y, p, scale
    x = low if x < low else x
    y = high if high < x else x
    p = exp_parts(-y, &scale, k)
    return x / fma(scale, k[ONE] + p, k[ONE])


cdef inline floating normal_tail(floating y, floating* bell, const floating* k) noexcept nogil:
    """Phi(-y) of the normal distribution and bell = e^(-y^2 / 2), 0 <= y; both exactly 0 from 13.27 and 37.66 on.

    Phi(-y) = bell * q((y - c) / (y + c)), q a minimax polynomial, whose error weighs y e^(-y^2 / 2): that of y Phi(-y)
    is 1.1e-9 and 1e-18 before anything is rounded.
    """
    cdef floating half = 0.5, p, scale, s, q
    cdef Py_ssize_t i
    if floating is float:
        y = tail_float[TAIL_HIGHEST] if tail_float[TAIL_HIGHEST] < y else y
        s = (y - tail_float[TAIL_CENTRE]) / (y + tail_float[TAIL_CENTRE])
        q = tail_float[TAIL_POLYNOMIAL]
        for i in range(1, TAIL_COEFFICIENTS):
            q = fma(q, s, tail_float[TAIL_POLYNOMIAL + i])
    else:
        y = tail_double[TAIL_HIGHEST] if tail_double[TAIL_HIGHEST] < y else y
        s = (y - tail_double[TAIL_CENTRE]) / (y + tail_double[TAIL_CENTRE])
        q = tail_double[TAIL_POLYNOMIAL]
        for i in range(1, TAIL_COEFFICIENTS_DOUBLE):
            q = fma(q, s, tail_double[TAIL_POLYNOMIAL + i])
    p = exp_parts(-half * y * y, &scale, k)
    bell[0] = fma(scale, p, scale)
    return bell[0] * q


cdef inline floating gelu(floating x, const floating* k) noexcept nogil:
    """x Phi(x) = max(x, 0) - |x| Phi(-|x|); 0 and inf at -inf and +inf; NaN stays NaN.

    Off by 1e-7 and 2.3e-16 at most (measured), in units of max(1, |value|) as all of them. gcc 12 makes a branch of the
    clamp, and so no vector code of loops over it: 5 ns for each number.
    """
    cdef floating zero = 0.0, most = 1e30, y, bell, tail
    y = magnitude(x)
    tail = normal_tail(y, &bell, k)
    y = most if most < y else y                     # inf * 0 would be NaN
    return fma(-y, tail, zero if x < zero else x)


cdef inline floating gelu_tanh_argument(floating x) noexcept nogil:
    """2 sqrt(2 / pi) (x + 0.044715 x^3): the tanh of its half, plus 1, halved, is the sigmoid of it."""
    cdef floating first = 1.5957691216057308, third = 0.07135481627260025
    return x * fma(third * x, x, first)


cdef inline floating gelu_tanh(floating x, const floating* k) noexcept nogil:
    """x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) = x / (1 + e^-v); -0 and inf at the ends; NaN stays NaN.

    Off by 1.2e-7 and 4.2e-16 at most (measured).
    """
    cdef floating low = k[LOWEST], high = k[HIGHEST], most = 30.0, v, p, scale
    x = -most if x < -most else x                   # e^-v is inf from here on
    v = gelu_tanh_argument(most if most < x else x)
    v = high if high < v else v
    v = low if v < low else v
    p = exp_parts(-v, &scale, k)
    return x / fma(scale, k[ONE] + p, k[ONE])


cdef inline floating elu(floating alpha, floating x, const floating* k) noexcept nogil:
    """alpha (e^x - 1) below 0, else x; exactly -alpha at -inf."""
    cdef floating low = -80.0, zero = 0.0, one = 1.0, p, scale
    p = exp_parts(low if x < low else (zero if x > zero else x), &scale, k)
    return alpha * fma(scale, p, scale - one) if x < zero else x
