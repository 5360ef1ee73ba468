"""Sigmoid, tanh and the gate updates, written once for every engine and both dtypes.

Every multiply-add that may be fused is spelled `fma`: one rounding on an ISA that has the instruction, two on
one that has not (x86-64-v2). Nothing else is ever contracted (-ffp-contract=off), so all FMA-class ISAs give
the same bits. The loops have no branch and no call, so that the compiler turns them into vector code.
"""

cimport cython
from cython cimport floating
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>
    #include <string.h>

    #if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)
    #define CGRU_HAS_FMA 1
    #define cgru_fmaf(a, b, c) fmaf((a), (b), (c))
    #define cgru_fma(a, b, c) fma((a), (b), (c))
    #else
    #define CGRU_HAS_FMA 0
    #define cgru_fmaf(a, b, c) ((a) * (b) + (c))
    #define cgru_fma(a, b, c) ((a) * (b) + (c))
    #endif

    /* hidden units per block of the gate pass and of the packed layout: one vector of float32 */
    #if defined(__AVX512F__)
    #define CGRU_LANES 16
    #elif defined(__AVX__)
    #define CGRU_LANES 8
    #else
    #define CGRU_LANES 4
    #endif

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
    float fmaf "cgru_fmaf"(float a, float b, float c) noexcept nogil
    double fmad "cgru_fma"(double a, double b, double c) noexcept nogil
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
    const int HAS_FMA "CGRU_HAS_FMA"
    enum: LANES "CGRU_LANES"


cdef inline floating fma(floating a, floating b, floating c) noexcept nogil:
    if floating is float:
        return fmaf(a, b, c)
    else:
        return fmad(a, b, c)


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


# ---- gate activations: sigmoid and tanh, or what a converted model uses

cdef enum:
    SIGMOID, TANH, HARD_SIGMOID, RELU, LINEAR, SOFTSIGN, LEAKY_RELU, ELU, SOFTPLUS, SCALED_TANH


cdef struct Activation:
    int kind                            # one of the above; cgru/activations.py has the formulas
    double alpha, beta


cdef struct Gates:
    Activation f, g                     # of r and z, of n
    double clip                         # pre-activations are clamped to +-clip; 0: not
    bint plain                          # sigmoid and tanh without clip


cdef inline floating activate(floating x, const Activation* act) noexcept nogil:
    cdef floating alpha = <floating>act.alpha, beta = <floating>act.beta, zero = 0.0, one = 1.0, p, scale, low
    if act.kind == HARD_SIGMOID:
        x = fma(alpha, x, beta)
        x = zero if x < zero else x
        return one if x > one else x
    if act.kind == RELU:
        return zero if x < zero else x
    if act.kind == LINEAR:
        return fma(alpha, x, beta)
    if act.kind == SOFTSIGN:
        p = fabsf(x) if floating is float else fabs(x)
        if p > <floating>1e30:      # inf / inf would be NaN
            return one if x > zero else -one
        return x / (one + p)
    if act.kind == LEAKY_RELU:
        return alpha * x if x < zero else x
    if act.kind == ELU:
        low = -80.0
        p = exp_parts(low if x < low else (zero if x > zero else x), &scale)
        return alpha * fma(scale, p, scale - one) if x < zero else x
    if act.kind == SOFTPLUS:
        # log(1 + e^x) = max(x, 0) + log1p(e^-|x|)
        if floating is float:
            return (zero if x < zero else x) + log1pf(expf(-fabsf(x)))
        else:
            return (zero if x < zero else x) + log1p(exp(-fabs(x)))
    if act.kind == SCALED_TANH:
        return alpha * tanh(beta * x)
    return tanh(x) if act.kind == TANH else sigmoid(x)


cdef inline floating clamp(floating x, double clip) noexcept nogil:
    cdef floating high = <floating>clip
    if clip > 0:
        x = high if x > high else x
        x = -high if x < -high else x
    return x


# `plain` is a compile-time constant at every call: sigmoid and tanh without a clip make straight vector code.

cdef inline floating gate(bint plain, const Gates* gates, floating x) noexcept nogil:
    """f(x)."""
    return sigmoid(x) if plain else activate(clamp(x, gates.clip), &gates.f)


cdef inline floating candidate(bint plain, const Gates* gates, floating x) noexcept nogil:
    """g(x)."""
    return tanh(x) if plain else activate(clamp(x, gates.clip), &gates.g)


# ---- gate updates, one block of LANES units each; z keeps the old h (PyTorch's sense)
#
# Results are built in local arrays first, so the compiler needs no aliasing checks and h_new may be h. Each update
# is one loop: gcc unrolls shorter ones to scalars before it vectorises.
# Where a tape is asked for, the block's gates go to tape[0..H), tape[H..2H), tape[2H..3H), tape[3H..4H) as
# r, z, n and q, with q = U_n h + c_n (reset after) or r h (reset before): what the backward pass needs.

cdef inline void gru_after_block(
    bint plain, const Gates* gates,
    const floating* i_r, const floating* i_z, const floating* i_n,   # IN W x + b, one block each
    const floating* h_r, const floating* h_z, const floating* h_n,   # IN U h + c
    const floating* h,                                               # IN the old state
    floating* h_new,                                                 # OUT
    floating* tape, Py_ssize_t H, Py_ssize_t count,                  # OUT count units of the tape, or NULL
) noexcept nogil:
    """r = f(i_r + h_r), z = f(i_z + h_z), n = g(i_n + r h_n), h' = (1 - z) n + z h = n + z (h - n)."""
    cdef floating r[LANES]
    cdef floating z[LANES]
    cdef floating n[LANES]
    cdef floating out[LANES]
    cdef Py_ssize_t j
    for j in range(LANES):
        r[j] = gate(plain, gates, i_r[j] + h_r[j])
        z[j] = gate(plain, gates, i_z[j] + h_z[j])
        n[j] = candidate(plain, gates, fma(r[j], h_n[j], i_n[j]))
        out[j] = fma(z[j], h[j] - n[j], n[j])
    if tape != NULL:
        memcpy(tape, &r[0], count * sizeof(floating))
        memcpy(tape + H, &z[0], count * sizeof(floating))
        memcpy(tape + 2 * H, &n[0], count * sizeof(floating))
        memcpy(tape + 3 * H, h_n, count * sizeof(floating))
    memcpy(h_new, &out[0], LANES * sizeof(floating))


cdef inline void gru_reset_block(
    bint plain, const Gates* gates,
    const floating* i_r, const floating* h_r, const floating* h,     # IN
    floating* rh,                                                    # OUT r * h
    floating* tape, Py_ssize_t H, Py_ssize_t count,                  # OUT r and q, or NULL
) noexcept nogil:
    """reset_after=False, first half: r = f(i_r + h_r), r h."""
    cdef floating r[LANES]
    cdef floating q[LANES]
    cdef Py_ssize_t j
    for j in range(LANES):
        r[j] = gate(plain, gates, i_r[j] + h_r[j])
        q[j] = r[j] * h[j]
    if tape != NULL:
        memcpy(tape, &r[0], count * sizeof(floating))
        memcpy(tape + 3 * H, &q[0], count * sizeof(floating))
    memcpy(rh, &q[0], LANES * sizeof(floating))


cdef inline void gru_before_block(
    bint plain, const Gates* gates,
    const floating* i_z, const floating* i_n,                        # IN
    const floating* h_z, const floating* h_n,                        # IN h_n = U_n (r h) + c_n
    const floating* h,                                               # IN
    floating* h_new,                                                 # OUT
    floating* tape, Py_ssize_t H, Py_ssize_t count,                  # OUT z and n, or NULL
) noexcept nogil:
    """reset_after=False, second half: z = f(i_z + h_z), n = g(i_n + h_n), h' = n + z (h - n)."""
    cdef floating z[LANES]
    cdef floating n[LANES]
    cdef floating out[LANES]
    cdef Py_ssize_t j
    for j in range(LANES):
        z[j] = gate(plain, gates, i_z[j] + h_z[j])
        n[j] = candidate(plain, gates, i_n[j] + h_n[j])
        out[j] = fma(z[j], h[j] - n[j], n[j])
    if tape != NULL:
        memcpy(tape + H, &z[0], count * sizeof(floating))
        memcpy(tape + 2 * H, &n[0], count * sizeof(floating))
    memcpy(h_new, &out[0], LANES * sizeof(floating))


cdef inline void pad_block(floating* block, const floating* source, Py_ssize_t count) noexcept nogil:
    """The last, short block of a row, with zeros behind it."""
    memset(block, 0, LANES * sizeof(floating))
    memcpy(block, source, count * sizeof(floating))


cdef inline Gates gates_of(f, g, double clip):
    """Gates from (kind, alpha, beta) of f and g (cgru/activations.py) and a clip, 0 for none."""
    cdef Gates gates
    gates.f.kind, gates.f.alpha, gates.f.beta = f
    gates.g.kind, gates.g.alpha, gates.g.beta = g
    gates.clip = clip
    gates.plain = gates.f.kind == SIGMOID and gates.g.kind == TANH and clip == 0
    return gates
