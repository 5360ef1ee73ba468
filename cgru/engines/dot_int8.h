/* Dot products of four 8-bit integers, side by side: the one place where instructions are spelled on x86-64, since no
   plain loop makes gcc 12 emit them. One function per instruction set; all give the same integers, exactly.

   A vector holds LANES sums of 32 bits, or as many groups of four weights. cgru_dot(sums, weights, a) adds to each sum
   the products of its four weights with the four activations in `a`, which has the same four in every group.

   VNNI multiplies unsigned with signed numbers: it takes a + 128 (CGRU_SHIFT), and each sum starts from -128 times the
   sum of its weights. Sums wrap around on the way, which the end result, an int32, does not see. The others take a as
   it is, and sums start from 0.

   Where there is cgru_dot_wide (CGRU_WIDE), several rows take it: products of 16 bits, with weights expanded once for
   all of them, need fewer of the units that multiply. There the activations are wanted as numbers of 16 bits too. */

#ifndef CGRU_DOT_INT8_H
#define CGRU_DOT_INT8_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86)
#include <immintrin.h>
#elif defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define CGRU_SAME_INLINE static __forceinline
#else
#define CGRU_SAME_INLINE static inline __attribute__((always_inline))
#endif

#if defined(__AVX512BW__)
typedef __m512i cgru_ints;
#define cgru_load(p) _mm512_loadu_si512(p)
#define cgru_store(p, v) _mm512_storeu_si512((p), (v))
#define cgru_all(word) _mm512_set1_epi32(word)

#if defined(__AVX512VNNI__) || defined(CGRU_VNNI)
#define CGRU_SHIFT 128

CGRU_SAME_INLINE cgru_ints cgru_dot(cgru_ints sums, cgru_ints weights, cgru_ints a)
{
    return _mm512_dpbusd_epi32(sums, a, weights);
}
#else
#define CGRU_WIDE 1
#define cgru_even(w) _mm512_srai_epi16(_mm512_slli_epi16((w), 8), 8)
#define cgru_odd(w) _mm512_srai_epi16((w), 8)
#define cgru_dot_wide(sums, w, a) _mm512_add_epi32((sums), _mm512_madd_epi16((w), (a)))

/* As with AVX2; there is no vpsignb here, but a subtraction under the mask of a's signs. */
CGRU_SAME_INLINE cgru_ints cgru_dot(cgru_ints sums, cgru_ints weights, cgru_ints a)
{
    __m512i turned = _mm512_mask_sub_epi8(weights, _mm512_movepi8_mask(a), _mm512_setzero_si512(), weights);
    __m512i pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(a), turned);
    return _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
#endif

#elif defined(__AVX2__)
typedef __m256i cgru_ints;
#define cgru_load(p) _mm256_loadu_si256((const __m256i *)(p))
#define cgru_store(p, v) _mm256_storeu_si256((__m256i *)(p), (v))
#define cgru_all(word) _mm256_set1_epi32(word)

#if defined(__AVXVNNI__) || defined(CGRU_VNNI)
#define CGRU_SHIFT 128

CGRU_SAME_INLINE cgru_ints cgru_dot(cgru_ints sums, cgru_ints weights, cgru_ints a)
{
    return _mm256_dpbusd_avx_epi32(sums, a, weights);
}
#else
#define CGRU_WIDE 1
#define cgru_even(w) _mm256_srai_epi16(_mm256_slli_epi16((w), 8), 8)
#define cgru_odd(w) _mm256_srai_epi16((w), 8)
#define cgru_dot_wide(sums, w, a) _mm256_add_epi32((sums), _mm256_madd_epi16((w), (a)))

/* |a| times the weight under a's sign. A pair of products is at most 2 * 127 * 127 = 32258: it never saturates. */
CGRU_SAME_INLINE cgru_ints cgru_dot(cgru_ints sums, cgru_ints weights, cgru_ints a)
{
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(weights, a));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif

#elif defined(__SSSE3__) || defined(_M_X64)
typedef __m128i cgru_ints;
#define cgru_load(p) _mm_loadu_si128((const __m128i *)(p))
#define cgru_store(p, v) _mm_storeu_si128((__m128i *)(p), (v))
#define cgru_all(word) _mm_set1_epi32(word)

CGRU_SAME_INLINE cgru_ints cgru_dot(cgru_ints sums, cgru_ints weights, cgru_ints a)
{
    __m128i pairs = _mm_maddubs_epi16(_mm_abs_epi8(a), _mm_sign_epi8(weights, a));
    return _mm_add_epi32(sums, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
}

#elif defined(__aarch64__) || defined(_M_ARM64)
typedef int32x4_t cgru_ints;
#define cgru_load(p) vreinterpretq_s32_s8(vld1q_s8((const int8_t *)(p)))
#define cgru_store(p, v) vst1q_s32((int32_t *)(p), (v))
#define cgru_all(word) vdupq_n_s32(word)

#if defined(__ARM_FEATURE_DOTPROD) || defined(CGRU_DOTPROD)
CGRU_SAME_INLINE cgru_ints cgru_dot(cgru_ints sums, cgru_ints weights, cgru_ints a)
{
    return vdotq_s32(sums, vreinterpretq_s8_s32(weights), vreinterpretq_s8_s32(a));
}
#else
/* Products of 16 bits, sums of two (at most 32258), sums of four. */
CGRU_SAME_INLINE cgru_ints cgru_dot(cgru_ints sums, cgru_ints weights, cgru_ints a)
{
    int8x16_t w = vreinterpretq_s8_s32(weights), v = vreinterpretq_s8_s32(a);
    int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(v)), high = vmull_s8(vget_high_s8(w), vget_high_s8(v));
    return vpadalq_s16(sums, vpaddq_s16(low, high));
}
#endif

#else
typedef struct { int32_t lanes[CGRU_LANES]; } cgru_ints;

CGRU_SAME_INLINE cgru_ints cgru_load(const void *p)
{
    cgru_ints v;
    memcpy(&v, p, sizeof v);
    return v;
}

#define cgru_store(p, v) memcpy((p), (v).lanes, sizeof(cgru_ints))

CGRU_SAME_INLINE cgru_ints cgru_all(int32_t word)
{
    cgru_ints v;
    for (int lane = 0; lane < CGRU_LANES; lane++)
        v.lanes[lane] = word;
    return v;
}

CGRU_SAME_INLINE cgru_ints cgru_dot(cgru_ints sums, cgru_ints weights, cgru_ints a)
{
    int8_t w[4 * CGRU_LANES], v[4 * CGRU_LANES];
    memcpy(w, weights.lanes, sizeof w);
    memcpy(v, a.lanes, sizeof v);
    for (int lane = 0; lane < CGRU_LANES; lane++)
        sums.lanes[lane] += w[4 * lane] * v[4 * lane] + w[4 * lane + 1] * v[4 * lane + 1]
            + w[4 * lane + 2] * v[4 * lane + 2] + w[4 * lane + 3] * v[4 * lane + 3];
    return sums;
}
#endif

#if !defined(CGRU_SHIFT)
#define CGRU_SHIFT 0
#endif

#if !defined(CGRU_WIDE)
#define CGRU_WIDE 0
#endif

#endif
