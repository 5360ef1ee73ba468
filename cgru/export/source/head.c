/*= head: */
/* What the compiler is, and the fused multiply-add. */
#if !defined(CGRU_ALLOW_FAST_MATH)
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(__ASSOCIATIVE_MATH__) \
    || defined(__RECIPROCAL_MATH__) || defined(_M_FP_FAST)
#error "-ffast-math breaks this file's sigmoid and tanh: compile it without, or define CGRU_ALLOW_FAST_MATH"
#endif
#endif

#if defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2)
#error "float must be computed as float, and the x87 computes something else: compile with -msse2 -mfpmath=sse"
#endif

/* Every multiply-add that may be fused is spelled so; the compiler must fuse no other ones. */
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#if defined(__GNUC__) || defined(__clang__)
#define CGRU_INLINE static inline __attribute__((always_inline, unused))
#define CGRU_ALIGNED __attribute__((aligned(64)))
#define CGRU_RESTRICT __restrict__
#define CGRU_COPY(to, from, size) __builtin_memcpy((to), (from), (size)) /* <string.h> is not everywhere */
#else
#include <string.h>
#define CGRU_COPY(to, from, size) memcpy((to), (from), (size))
#if defined(_MSC_VER)
#define CGRU_INLINE static __forceinline
#define CGRU_ALIGNED
#define CGRU_RESTRICT __restrict
#else
#define CGRU_INLINE static
#define CGRU_ALIGNED
#define CGRU_RESTRICT
#endif
#endif

CGRU_INLINE uint32_t cgru_bits_of(float x)
{
    union { float number; uint32_t bits; } both;
    both.number = x;
    return both.bits;
}

CGRU_INLINE float cgru_as_float(uint32_t bits)
{
    union { float number; uint32_t bits; } both;
    both.bits = bits;
    return both.number;
}

#if (defined(__GNUC__) || defined(__clang__)) \
    && (defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__) || defined(__FP_FAST_FMAF))
#define CGRU_EXACT 1
#define CGRU_FMA(a, b, c) __builtin_fmaf((a), (b), (c))
#elif defined(CGRU_EMULATE_FMA)
#if defined(__GNUC__) || defined(__clang__)
#define CGRU_NEVER_INLINE __attribute__((noinline))
#else
#define CGRU_NEVER_INLINE
#endif

/* The product is exact in double, the sum is rounded there to the nearest; here to odd, if it is not exact, so that the
   rounding to float that follows is the right one. */
static CGRU_NEVER_INLINE float cgru_fma_to_odd(double product, double addend)
{
    union { double number; uint64_t bits; } sum;
    double part, rest;
    sum.number = product + addend;
    part = sum.number - product;
    rest = (product - (sum.number - part)) + (addend - part);
    if ((rest < 0 || rest > 0) && !(sum.bits & 1u)) {       /* neither exact, nor infinite or NaN */
        if ((rest > 0) == (sum.number > 0))
            sum.bits += 1u;
        else
            sum.bits -= 1u;
    }
    return (float)sum.number;
}

/* That matters where the sum is half way between two floats, or too small for a float's full precision. */
CGRU_INLINE float cgru_fma(float a, float b, float c)
{
    union { double number; uint64_t bits; } sum;
    const double product = (double)a * b;
    sum.number = product + c;
    if ((sum.bits & 0x1FFFFFFFu) == 0x10000000u || ((sum.bits >> 52 & 0x7FFu) < 897u && sum.number != 0))
        return cgru_fma_to_odd(product, c);
    return (float)sum.number;
}
#define CGRU_EXACT 1
#define CGRU_FMA(a, b, c) cgru_fma((a), (b), (c))
#else
#define CGRU_EXACT 0
#define CGRU_FMA(a, b, c) ((a) * (b) + (c))
#endif

/* Columns of sums that are kept in registers. */
#if defined(__AVX512F__)
#define CGRU_SUMS 128u
#elif defined(__AVX__)
#define CGRU_SUMS 64u
#else
#define CGRU_SUMS 32u
#endif

/* The parts, of a multiple of 16, that come out when `whole` columns are cut into as few as have at most `most`. */
CGRU_INLINE size_t cgru_part(size_t whole, size_t most)
{
    const size_t parts = (whole + most - 1) / most;
    return ((whole + parts - 1) / parts + 15) / 16 * 16;
}
