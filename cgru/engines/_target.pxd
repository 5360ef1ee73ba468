"""What a build's instruction set offers: every question to the compiler is in this file.

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
       there is not (x86-64-v2). Nothing else is ever contracted (-ffp-contract=off, and MSVC's pragma, since before
       2022 it contracts under /fp:precise), so all instruction sets that have it give the same bits.
       To MSVC, fma is a function of its library: the instruction has to be asked for. */
    #if defined(_MSC_VER) && !defined(__clang__)
    #pragma fp_contract (off)
    #endif
    #if defined(_MSC_VER) && !defined(__clang__) && defined(__AVX2__)
    #include <immintrin.h>
    #define CGRU_HAS_FMA 1
    static __forceinline float cgru_fmaf(float a, float b, float c)
    {
        return _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c)));
    }
    static __forceinline double cgru_fma(double a, double b, double c)
    {
        return _mm_cvtsd_f64(_mm_fmadd_sd(_mm_set_sd(a), _mm_set_sd(b), _mm_set_sd(c)));
    }
    #elif defined(_MSC_VER) && !defined(__clang__) && defined(_M_ARM64)
    #include <arm_neon.h>
    #define CGRU_HAS_FMA 1
    static __forceinline float cgru_fmaf(float a, float b, float c)
    {
        return vget_lane_f32(vfma_f32(vdup_n_f32(c), vdup_n_f32(a), vdup_n_f32(b)), 0);
    }
    static __forceinline double cgru_fma(double a, double b, double c)
    {
        return vget_lane_f64(vfma_f64(vdup_n_f64(c), vdup_n_f64(a), vdup_n_f64(b)), 0);
    }
    #elif defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)
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

    /* whether this build is for int8 weights alone: its instruction set adds to another one (isas.py) */
    #if !defined(CGRU_ONLY_INT8)
    #define CGRU_ONLY_INT8 0
    #endif
    """
    float fmaf "cgru_fmaf"(float a, float b, float c) noexcept nogil
    double fmad "cgru_fma"(double a, double b, double c) noexcept nogil
    const int HAS_FMA "CGRU_HAS_FMA"
    enum: LANES "CGRU_LANES"
    enum: WIDTH "CGRU_WIDTH"
    enum: ROWS "CGRU_ROWS"
    enum: SPELLED "CGRU_SPELLED"
    enum: ONLY_INT8 "CGRU_ONLY_INT8"


cdef inline floating fma(floating a, floating b, floating c) noexcept nogil:
    if floating is float:
        return fmaf(a, b, c)
    else:
        return fmad(a, b, c)
