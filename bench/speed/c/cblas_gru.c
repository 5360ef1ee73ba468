/* A GRU in C on BLAS: one GEMM for the input projection of all steps, one GEMV (a single row) or GEMM per
 * step for the recurrence, expf and tanhf for the gates. What a C programmer with OpenBLAS writes in an afternoon.
 *
 * The BLAS is the one that SciPy carries: Python hands over its sgemv and sgemm, so that this works wherever
 * SciPy does. Fortran's interface: column-major, everything by pointer. A row-major (rows, K) array is a
 * column-major (K, rows) one, so C[rows,3H] = A[rows,K] W[3H,K]^T is C^T = W A^T with op(W) = transpose.
 */
#include <math.h>

#include "harness.h"

typedef void gemv_t(const char *, const int *, const int *, const float *, const float *, const int *,
                    const float *, const int *, const float *, float *, const int *);
typedef void gemm_t(const char *, const char *, const int *, const int *, const int *, const float *,
                    const float *, const int *, const float *, const int *, const float *, float *,
                    const int *);

EXPORT int64_t gru_scratch(const struct gru *g)
{
    return 3 * g->hidden * g->rows * (g->steps + 1);
}

static float sigmoid(float v)
{
    return 1.0f / (1.0f + expf(-v));
}

/* out[rows,3H] = bias + a[rows,K] w[3H,K]^T */
static void affine(const struct gru *g, int64_t rows, int64_t depth, const float *a, const float *w,
                   const float *bias, float *out)
{
    const int columns = (int)(3 * g->hidden), m = (int)rows, k = (int)depth, one = 1;
    const float unit = 1.0f;

    for (int64_t n = 0; n < rows; n++)
        memcpy(out + n * columns, bias, sizeof(float) * (size_t)columns);
    if (rows == 1)
        ((gemv_t *)g->sgemv)("T", &k, &columns, &unit, w, &k, a, &one, &unit, out, &one);
    else
        ((gemm_t *)g->sgemm)("T", "N", &columns, &m, &k, &unit, w, &k, a, &k, &unit, out, &columns);
}

static void run(const struct gru *g)
{
    const int64_t N = g->rows, H = g->hidden;
    float *gh = g->scratch, *projection = g->scratch + 3 * H * N;

    affine(g, g->steps * N, g->inputs, g->x, g->w_ih, g->b_ih, projection);
    for (int64_t t = 0; t < g->steps; t++) {
        const float *gi = projection + t * N * 3 * H;
        float *y = g->y + t * N * H;
        affine(g, N, H, g->h, g->w_hh, g->b_hh, gh);
        for (int64_t n = 0; n < N; n++) {
            const float *a = gi + n * 3 * H, *b = gh + n * 3 * H;
            float *h = g->h + n * H;
            for (int64_t j = 0; j < H; j++) {
                float r = sigmoid(a[j] + b[j]);
                float z = sigmoid(a[H + j] + b[H + j]);
                float c = tanhf(a[2 * H + j] + r * b[2 * H + j]);
                h[j] = (1.0f - z) * c + z * h[j];
            }
        }
        memcpy(y, g->h, sizeof(float) * (size_t)(N * H));
    }
}
