"""What a build's instruction set offers: every #if of the engines is in this file.

The engines are compiled once for each instruction set, with other flags (setup.py). All that follows from the flags
is whether there is a fused multiply-add, how many numbers go side by side, and whether a tile is spelled in vectors.
"""

from cython cimport floating

cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>
    #include <string.h>

    #if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(_M_FP_FAST)
    #error "cgru must be built without -ffast-math and its parts: they break NaN and the order of additions"
    #endif

    /* Every multiply-add that may be fused is spelled fma: one rounding where there is the instruction, two where
       there is not (x86-64-v2). Nothing else is ever contracted (-ffp-contract=off), so all instruction sets that
       have it give the same bits. */
    #if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__) || defined(_M_ARM64) \\
        || (defined(_MSC_VER) && defined(__AVX2__))
    #define CGRU_HAS_FMA 1
    #define cgru_fmaf(a, b, c) fmaf((a), (b), (c))
    #define cgru_fma(a, b, c) fma((a), (b), (c))
    #else
    #define CGRU_HAS_FMA 0
    #define cgru_fmaf(a, b, c) ((a) * (b) + (c))
    #define cgru_fma(a, b, c) ((a) * (b) + (c))
    #endif

    /* hidden units of a block, in the gates and in the packed layout: one vector of float32 */
    #if defined(__AVX512F__)
    #define CGRU_LANES 16
    #elif defined(__AVX__)
    #define CGRU_LANES 8
    #else
    #define CGRU_LANES 4
    #endif

    /* columns of a panel, and rows of a tile: ROWS * 3 accumulators, 3 weights and a broadcast must fit the vector
       registers */
    #define CGRU_WIDTH (3 * CGRU_LANES)
    #if defined(__AVX512F__) || defined(__aarch64__) || defined(_M_ARM64)
    #define CGRU_ROWS 8
    #else
    #define CGRU_ROWS 4
    #endif

    /* whether tiles are spelled in vectors (_tile_neon.pxd), and not left to the compiler */
    #if defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
    #define CGRU_SPELLED 1
    #else
    #define CGRU_SPELLED 0
    #endif
    """
    float fmaf "cgru_fmaf"(float a, float b, float c) noexcept nogil
    double fmad "cgru_fma"(double a, double b, double c) noexcept nogil
    const int HAS_FMA "CGRU_HAS_FMA"
    enum: LANES "CGRU_LANES"
    enum: WIDTH "CGRU_WIDTH"
    enum: ROWS "CGRU_ROWS"
    enum: SPELLED "CGRU_SPELLED"


cdef inline floating fma(floating a, floating b, floating c) noexcept nogil:
    if floating is float:
        return fmaf(a, b, c)
    else:
        return fmad(a, b, c)
