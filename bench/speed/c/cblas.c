/* A layer in C on BLAS: one GEMM for the input projection of all steps, one GEMV (a single row) or GEMM per
 * step for the recurrence, expf and tanhf for the gates. What a C programmer with OpenBLAS writes in an afternoon.
 *
 * The BLAS is the one that SciPy carries: Python hands over its sgemv and sgemm, so that this works wherever
 * SciPy does. Fortran's interface: column-major, everything by pointer. A row-major (rows, K) array is a
 * column-major (K, rows) one, so C[rows,GH] = A[rows,K] W[GH,K]^T is C^T = W A^T with op(W) = transpose.
 */
#include "libm_gates.h"

typedef void gemv_t(const char *, const int *, const int *, const float *, const float *, const int *,
                    const float *, const int *, const float *, float *, const int *);
typedef void gemm_t(const char *, const char *, const int *, const int *, const int *, const float *,
                    const float *, const int *, const float *, const int *, const float *, float *,
                    const int *);

EXPORT int64_t layer_scratch(const struct layer *l)
{
    return GATES * l->hidden * l->rows * (l->steps + 1);
}

/* out[rows,GH] = bias + a[rows,K] w[GH,K]^T */
static void affine(const struct layer *l, int64_t rows, int64_t depth, const float *a, const float *w,
                   const float *bias, float *out)
{
    const int columns = (int)(GATES * l->hidden), m = (int)rows, k = (int)depth, one = 1;
    const float unit = 1.0f;

    for (int64_t n = 0; n < rows; n++)
        memcpy(out + n * columns, bias, sizeof(float) * (size_t)columns);
    if (rows == 1)
        ((gemv_t *)l->sgemv)("T", &k, &columns, &unit, w, &k, a, &one, &unit, out, &one);
    else
        ((gemm_t *)l->sgemm)("T", "N", &columns, &m, &k, &unit, w, &k, a, &k, &unit, out, &columns);
}

static void run(const struct layer *l)
{
    const int64_t N = l->rows, H = l->hidden;
    float *gh = l->scratch, *projection = l->scratch + GATES * H * N;

    affine(l, l->steps * N, l->inputs, l->x, l->w_ih, l->b_ih, projection);
    for (int64_t t = 0; t < l->steps; t++) {
        affine(l, N, H, l->h, l->w_hh, l->b_hh, gh);
        for (int64_t n = 0; n < N; n++) {
            float *h = l->h + n * H;
            gates(H, projection + (t * N + n) * GATES * H, gh + n * GATES * H, h, h + N * H);
        }
        memcpy(l->y + t * N * H, l->h, sizeof(float) * (size_t)(N * H));
    }
}
