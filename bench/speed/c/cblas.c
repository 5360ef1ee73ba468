/* A layer in C on BLAS: one GEMM for the input projection of all steps, one GEMV (a single row) or GEMM per
 * step for the recurrence, expf and tanhf for the gates. What a C programmer with OpenBLAS writes in an afternoon.
 *
 * The BLAS is a shared library that is loaded when a model is made: BLAS_LIBRARY is its path, BLAS_SGEMV and BLAS_SGEMM
 * are the names of its functions, all of them strings. Fortran's interface: column-major, everything by pointer, 32-bit
 * integers. A row-major (rows, K) array is a column-major (K, rows) one, so C[rows,columns] = A[rows,K] W[columns,K]^T
 * is C^T = W A^T with op(W) = transpose.
 *
 * A run needs room for the sums of all its steps, which is taken the first time and kept.
 */
#include <dlfcn.h>

#include "textbook.h"

typedef void gemv_t(const char *, const int *, const int *, const float *, const float *, const int *,
                    const float *, const int *, const float *, float *, const int *);
typedef void gemm_t(const char *, const char *, const int *, const int *, const int *, const float *,
                    const float *, const int *, const float *, const int *, const float *, float *,
                    const int *);

static gemv_t *sgemv;
static gemm_t *sgemm;

/* Before main, and so before anything is timed. */
__attribute__((constructor)) static void load_blas(void)
{
    void *library = dlopen(BLAS_LIBRARY, RTLD_NOW);
    if (library) {
        *(void **)&sgemv = dlsym(library, BLAS_SGEMV);
        *(void **)&sgemm = dlsym(library, BLAS_SGEMM);
    }
}

/* out[rows,columns] = bias + a[rows,K] w[columns,K]^T */
static void affine(int columns, int rows, int depth, const float *a, const float *w, const float *bias, float *out)
{
    const int one = 1;
    const float unit = 1.0f;

    for (int n = 0; n < rows; n++)
        memcpy(out + (size_t)n * (size_t)columns, bias, sizeof(float) * (size_t)columns);
    if (rows == 1)
        sgemv("T", &depth, &columns, &unit, w, &depth, a, &one, &unit, out, &one);
    else
        sgemm("T", "N", &columns, &rows, &depth, &unit, w, &depth, a, &depth, &unit, out, &columns);
}

void cgru_judge_run(void *model, int steps, const float *x, float *y)
{
    Textbook *m = model;
    const size_t size = (size_t)m->rows * (size_t)m->columns, out = (size_t)m->rows * (size_t)m->H;

    if (!sgemv || !sgemm)
        abort();
    if (m->room < steps * m->rows) {
        float *more = realloc(m->a, (size_t)steps * size * sizeof *more);
        if (!more)
            abort();
        m->a = more;
        m->room = steps * m->rows;
    }
    affine(m->columns, steps * m->rows, m->I, x, m->w_ih, m->b_ih, m->a);
    for (int t = 0; t < steps; t++) {
        affine(m->columns, m->rows, m->H, m->h, m->w_hh, m->b_hh, m->b);
        textbook_gates(m, m->a + (size_t)t * size, m->b, y + (size_t)t * out);
    }
}

void cgru_judge_step(void *model, const float *x, float *y)
{
    cgru_judge_run(model, 1, x, y);
}

const char *cgru_judge_name(void)
{
    return "C BLAS";
}
