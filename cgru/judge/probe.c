/* The limits of a machine, measured: float32 fused multiply-adds per second, 8-bit multiply-adds per second (dots.h),
 * and bytes read per second as a function of the footprint. Compiled for the machine it runs on (-march=native or the
 * like), so the vector is the widest that the compiler knows there.
 */
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "dots.h"

#if !defined(VECTOR_BYTES)
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#endif

#define EXPORT __attribute__((visibility("default")))

typedef float vfloat __attribute__((vector_size(VECTOR_BYTES)));
typedef int64_t vint __attribute__((vector_size(VECTOR_BYTES)));

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

EXPORT int64_t probe_vector_bytes(void)
{
    return VECTOR_BYTES;
}

/* GFLOP/s of `rounds` times 12 independent chains of a = a * m + c: more chains than the latency times the
 * number of FMA pipes of any core so far (4 cycles times 2), few enough for 16 registers.
 */
EXPORT double probe_fma(int64_t rounds)
{
    static volatile float factor = 0.999f, offset = 0.001f; /* the fixed point is 1: no subnormals */
    static volatile float sink;
    vfloat m, c, a[12];

    for (size_t i = 0; i < VECTOR_BYTES / sizeof(float); i++) {
        m[i] = factor;
        c[i] = offset;
    }
    for (int i = 0; i < 12; i++)
        a[i] = c * (float)(i + 1);
    double start = seconds();
    for (int64_t round = 0; round < rounds; round++) {
        a[0] = a[0] * m + c;
        a[1] = a[1] * m + c;
        a[2] = a[2] * m + c;
        a[3] = a[3] * m + c;
        a[4] = a[4] * m + c;
        a[5] = a[5] * m + c;
        a[6] = a[6] * m + c;
        a[7] = a[7] * m + c;
        a[8] = a[8] * m + c;
        a[9] = a[9] * m + c;
        a[10] = a[10] * m + c;
        a[11] = a[11] * m + c;
    }
    double elapsed = seconds() - start;
    for (int i = 1; i < 12; i++)
        a[0] += a[i];
    sink = a[0][0];
    (void)sink;
    return 1e-9 * (double)rounds * 12 * 2 * (VECTOR_BYTES / sizeof(float)) / elapsed;
}

EXPORT const char *probe_dot_form(void)
{
    return DOT_FORM;
}

/* Billions of operations a second: `rounds` times DOT_SUMS independent sums of the 8-bit products of DOT_BYTES numbers.
 * An operand is hidden anew before each, so that no product is computed once for all.
 */
EXPORT double probe_dot(int64_t rounds)
{
    static volatile int8_t first = 3, second = -5;
    static volatile int32_t sink;
    dots a[DOT_SUMS], u = dots_of(first), w = dots_of(second);

    for (int i = 0; i < DOT_SUMS; i++)
        a[i] = dots_of(first);
    double start = seconds();
    for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 12
        for (int i = 0; i < DOT_SUMS; i++) {
            HIDE(u);
            a[i] = dot(a[i], u, w);
        }
    }
    double elapsed = seconds() - start;
    for (int i = 0; i < DOT_SUMS; i++)
        sink = dots_first(a[i]);
    (void)sink;
    return 1e-9 * (double)rounds * DOT_SUMS * 2 * DOT_BYTES / elapsed;
}

/* One step of `probe_dot`, for a test: the first sum, of four products. */
EXPORT int32_t probe_dot_once(int8_t u, int8_t w)
{
    return dots_first(dot(dots_of(0), dots_of(u), dots_of(w)));
}

/* One pass over `vectors` vectors, read as `streams` streams side by side, four vectors of each at a time.
 * `streams` is a constant at each call below, so that the inner loop unrolls.
 */
static inline __attribute__((always_inline)) vint pass(const vint *data, int64_t vectors, int streams)
{
    const int64_t length = vectors / streams;
    vint a = {0}, b = {0}, c = {0}, d = {0};

    for (int64_t i = 0; i + 4 <= length; i += 4) {
        for (int s = 0; s < streams; s++) {
            const vint *p = data + s * length + i;
            a ^= p[0];
            b ^= p[1];
            c ^= p[2];
            d ^= p[3];
        }
    }
    return a ^ b ^ c ^ d;
}

/* GB/s of `passes` reads of the first `bytes` of `data` (64-byte aligned). `bytes` is a multiple of
 * 4 * streams * VECTOR_BYTES; `streams` is 1, 2, 4 or 8.
 */
EXPORT double probe_read(const void *data, int64_t bytes, int64_t streams, int64_t passes)
{
    static volatile int64_t sink;
    const int64_t vectors = bytes / VECTOR_BYTES;
    vint sum = {0};

    double start = seconds();
    for (int64_t i = 0; i < passes; i++) {
        const vint *p = data;
        __asm__ volatile("" : "+r"(p) : : "memory"); /* every pass reads again */
        if (streams == 8)
            sum ^= pass(p, vectors, 8);
        else if (streams == 4)
            sum ^= pass(p, vectors, 4);
        else if (streams == 2)
            sum ^= pass(p, vectors, 2);
        else
            sum ^= pass(p, vectors, 1);
    }
    double elapsed = seconds() - start;
    sink = sum[0];
    (void)sink;
    return 1e-9 * (double)bytes * (double)passes / elapsed;
}
