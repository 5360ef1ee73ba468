/* The arithmetic of the gates, by itself: what one core does of it in a plain loop of vector code over arrays.

   cgru's own formulas for sigmoid and tanh (cgru/engines/_activations.pxd), in intrinsics, over n units whose sums
   stand gate by gate: a[gate * n + j], b[gate * n + j]. n is a multiple of 16. A yardstick for the pass over the gates:
   no product, no panels, no state that goes from step to step. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
typedef __m512 vec;
#define load(p) _mm512_loadu_ps(p)
#define store(p, v) _mm512_storeu_ps(p, v)
#define all(x) _mm512_set1_ps(x)
#define add(a, b) _mm512_add_ps(a, b)
#define sub(a, b) _mm512_sub_ps(a, b)
#define mul(a, b) _mm512_mul_ps(a, b)
#define quotient(a, b) _mm512_div_ps(a, b)
#define muladd(a, b, c) _mm512_fmadd_ps(a, b, c)
#define least(a, b) _mm512_min_ps(a, b)      /* of a NaN b, b */
#define most(a, b) _mm512_max_ps(a, b)
#define ints(v) _mm512_castps_si512(v)
#define floats(v) _mm512_castsi512_ps(v)
#define SIGN _mm512_set1_epi32((int)0x80000000)
#define negative(v) floats(_mm512_xor_si512(ints(v), SIGN))
#define magnitude(v) floats(_mm512_andnot_si512(SIGN, ints(v)))
#define with_sign(v, x) floats(_mm512_ternarylogic_epi32(SIGN, ints(x), ints(v), 0xCA))     /* SIGN ? x : v */
#define power(t) \
    floats(_mm512_slli_epi32(_mm512_add_epi32(ints(t), _mm512_set1_epi32(127)), 23))
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define LANES 8
typedef __m256 vec;
#define load(p) _mm256_loadu_ps(p)
#define store(p, v) _mm256_storeu_ps(p, v)
#define all(x) _mm256_set1_ps(x)
#define add(a, b) _mm256_add_ps(a, b)
#define sub(a, b) _mm256_sub_ps(a, b)
#define mul(a, b) _mm256_mul_ps(a, b)
#define quotient(a, b) _mm256_div_ps(a, b)
#define muladd(a, b, c) _mm256_fmadd_ps(a, b, c)
#define least(a, b) _mm256_min_ps(a, b)
#define most(a, b) _mm256_max_ps(a, b)
#define SIGN _mm256_set1_ps(-0.0f)
#define negative(v) _mm256_xor_ps(v, SIGN)
#define magnitude(v) _mm256_andnot_ps(SIGN, v)
#define with_sign(v, x) _mm256_or_ps(_mm256_andnot_ps(SIGN, v), _mm256_and_ps(SIGN, x))
#define power(t) \
    _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(127)), 23))
#else
#define LANES 1
typedef float vec;
#define load(p) (*(p))
#define store(p, v) (*(p) = (v))
#define all(x) (x)
#define add(a, b) ((a) + (b))
#define sub(a, b) ((a) - (b))
#define mul(a, b) ((a) * (b))
#define quotient(a, b) ((a) / (b))
#define muladd(a, b, c) fmaf(a, b, c)
#define least(a, b) ((a) < (b) ? (a) : (b))
#define most(a, b) ((a) > (b) ? (a) : (b))
static inline float power(float t)
{
    uint32_t u;
    memcpy(&u, &t, sizeof u);
    u = (u + 127u) << 23;
    memcpy(&t, &u, sizeof u);
    return t;
}
#define negative(v) (-(v))
#define magnitude(v) fabsf(v)
#define with_sign(v, x) copysignf(v, x)
#endif

/* e^x = scale (1 + p) */
static inline vec exp_parts(vec x, vec *scale)
{
    vec magic = all(12582912.0f), t = muladd(x, all(1.44269504088896341f), magic), n = sub(t, magic), r, q;
    r = muladd(n, all(-0.693359375f), x);
    r = muladd(n, all(2.12194440054690583e-4f), r);
    q = muladd(all(0.0013926213141530752f), r, all(0.008363203145563602f));
    q = muladd(q, r, all(0.041666556149721146f));
    q = muladd(q, r, all(0.16666576266288757f));
    q = muladd(q, r, all(0.5f));
    *scale = power(t);
    return muladd(mul(r, r), q, r);
}

static inline vec sigmoid(vec x)
{
    vec scale, p = exp_parts(least(all(89.0f), most(all(-88.0f), negative(x))), &scale);
    return quotient(all(1.0f), muladd(scale, add(all(1.0f), p), all(1.0f)));
}

static inline vec tangent(vec x)
{
    vec scale, p = exp_parts(least(all(20.0f), mul(all(2.0f), magnitude(x))), &scale);
    vec e = muladd(scale, p, sub(scale, all(1.0f)));
    return with_sign(quotient(e, add(e, all(2.0f))), x);
}

void probe_gru(long n, const float *a, const float *b, const float *h, float *out)
{
    for (long j = 0; j < n; j += LANES) {
        vec r = sigmoid(add(load(a + j), load(b + j)));
        vec z = sigmoid(add(load(a + n + j), load(b + n + j)));
        vec new = tangent(muladd(r, load(b + 2 * n + j), load(a + 2 * n + j)));
        store(out + j, muladd(z, sub(load(h + j), new), new));
    }
}

void probe_lstm(long n, const float *a, const float *b, const float *c, float *h_new, float *c_new)
{
    for (long j = 0; j < n; j += LANES) {
        vec i = sigmoid(add(load(a + j), load(b + j)));
        vec f = sigmoid(add(load(a + n + j), load(b + n + j)));
        vec g = tangent(add(load(a + 2 * n + j), load(b + 2 * n + j)));
        vec o = sigmoid(add(load(a + 3 * n + j), load(b + 3 * n + j)));
        vec cell = muladd(f, load(c + j), mul(i, g));
        store(c_new + j, cell);
        store(h_new + j, mul(o, tangent(cell)));
    }
}

void probe_rnn(long n, const float *a, const float *b, float *out)
{
    for (long j = 0; j < n; j += LANES)
        store(out + j, tangent(add(load(a + j), load(b + j))));
}
