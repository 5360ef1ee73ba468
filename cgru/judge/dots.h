/* 8-bit dot products by the best instructions of the machine that is compiled for, for the probe of their peak.
 *
 * dot(sums, u, w) adds to each 32-bit sum four products of an unsigned number of u with a signed one of w (both signed
 * where the instruction has it so; two numbers below 128 are the same either way). This is the least that a product of
 * 8-bit numbers takes: what an engine does beside it, such as moving signs, counts as nothing.
 */
#ifndef CGRU_BENCH_DOTS_H
#define CGRU_BENCH_DOTS_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512BW__)
typedef __m512i dots;
#define dots_of(byte) _mm512_set1_epi8(byte)
#define HIDE(v) __asm__ volatile("" : "+v"(v))
#elif defined(__AVX2__)
typedef __m256i dots;
#define dots_of(byte) _mm256_set1_epi8(byte)
#define HIDE(v) __asm__ volatile("" : "+x"(v))
#elif defined(__SSSE3__)
typedef __m128i dots;
#define dots_of(byte) _mm_set1_epi8(byte)
#define HIDE(v) __asm__ volatile("" : "+x"(v))
#elif defined(__aarch64__)
typedef int32x4_t dots;
#define dots_of(byte) vreinterpretq_s32_s8(vdupq_n_s8(byte))
#define HIDE(v) __asm__ volatile("" : "+w"(v))
#else
typedef int32_t dots;
#define dots_of(byte) ((int32_t)(0x01010101u * (uint8_t)(byte)))
#define HIDE(v) __asm__ volatile("" : "+r"(v))
#endif
#define DOT_BYTES ((int64_t)sizeof(dots))

/* Sums in flight. Where one instruction multiplies and adds, as in `probe_fma`; where the addition stands alone the sums
 * hardly wait for one another, and more of them would not stay in 16 registers. */
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || defined(__ARM_FEATURE_DOTPROD)
#define DOT_SUMS 12
#else
#define DOT_SUMS 6
#endif

static inline __attribute__((always_inline)) dots dot(dots sums, dots u, dots w)
{
#if defined(__AVX512BW__) && defined(__AVX512VNNI__)
#define DOT_FORM "vpdpbusd, 512 bits"
    return _mm512_dpbusd_epi32(sums, u, w);
#elif defined(__AVX512BW__)
#define DOT_FORM "vpmaddubsw and vpmaddwd, 512 bits"
    return _mm512_add_epi32(sums, _mm512_madd_epi16(_mm512_maddubs_epi16(u, w), _mm512_set1_epi16(1)));
#elif defined(__AVX2__) && defined(__AVXVNNI__)
#define DOT_FORM "vpdpbusd, 256 bits"
    return _mm256_dpbusd_avx_epi32(sums, u, w);
#elif defined(__AVX2__)
#define DOT_FORM "vpmaddubsw and vpmaddwd, 256 bits"
    return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(u, w), _mm256_set1_epi16(1)));
#elif defined(__SSSE3__)
#define DOT_FORM "pmaddubsw and pmaddwd, 128 bits"
    return _mm_add_epi32(sums, _mm_madd_epi16(_mm_maddubs_epi16(u, w), _mm_set1_epi16(1)));
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#define DOT_FORM "sdot, 128 bits"
    return vdotq_s32(sums, vreinterpretq_s8_s32(u), vreinterpretq_s8_s32(w));
#elif defined(__aarch64__)
#define DOT_FORM "smull and sadalp, 128 bits"
    int8x16_t a = vreinterpretq_s8_s32(u), b = vreinterpretq_s8_s32(w);
    int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_s8(vget_high_s8(a), vget_high_s8(b));
    return vpadalq_s16(sums, vpaddq_s16(low, high));
#else
#define DOT_FORM "plain C"
    int8_t a[4], b[4];
    memcpy(a, &u, 4);
    memcpy(b, &w, 4);
    return (int32_t)((uint32_t)sums + (uint32_t)(a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]));
#endif
}

static inline int32_t dots_first(dots sums)
{
    int32_t first;
    memcpy(&first, &sums, sizeof first);
    return first;
}

#endif
