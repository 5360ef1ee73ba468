/* What every C baseline shares: the problem, a clock, and the timed loop.
 *
 * A source is compiled once for each cell: as a GRU, or with -DLSTM as an LSTM. It defines `run`, and the harness exports
 *
 *     layer_run(l, calls)                     runs, for the check of the output
 *     layer_sample(l, calls, count, ns)       fills ns[count], each the time of `calls` runs, in nanoseconds
 *
 * so that the timed loop is C and Python's call overhead is in no figure.
 *
 * Letters: T steps, N rows, I inputs (written `ni`: I is a macro of <complex.h>), H hidden units, G = GATES.
 * Canonical form of a GRU: gates r, z, n; reset after the product; z keeps the old h. An LSTM's gates: i, f, g, o.
 */
#ifndef CGRU_BENCH_HARNESS_H
#define CGRU_BENCH_HARNESS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#if defined(LSTM)
#define GATES 4
#define PLANES 2
#else
#define GATES 3
#define PLANES 1
#endif

struct layer {
    int64_t steps, rows, inputs, hidden; /* T, N, I, H */
    int64_t carry;                       /* 1: a call starts from the last call's state; 0: from h_0 */
    const float *w_ih;                   /* (GH, I) row-major */
    const float *w_hh;                   /* (GH, H) row-major */
    const float *b_ih;                   /* (GH,) */
    const float *b_hh;                   /* (GH,) */
    const float *x;                      /* (T, N, I) */
    const float *h_0;                    /* (N, H), and behind it an LSTM's c_0 */
    float *h;                            /* (N, H) running state, and behind it c; owned by the caller */
    float *y;                            /* (T, N, H) output, owned by the caller */
    float *scratch;                      /* as many floats as layer_scratch says, 64-byte aligned */
    void *sgemv, *sgemm;                 /* Fortran BLAS entry points, or null where unused */
};

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* One call: the whole sequence, from l->h, leaving the last state in l->h. */
static void run(const struct layer *l);

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

EXPORT void layer_run(const struct layer *l, int64_t calls)
{
    for (int64_t i = 0; i < calls; i++) {
        if (!l->carry)
            memcpy(l->h, l->h_0, sizeof(float) * (size_t)(PLANES * l->rows * l->hidden));
        run(l);
    }
}

EXPORT void layer_sample(const struct layer *l, int64_t calls, int64_t count, int64_t *ns)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t start = now_ns();
        layer_run(l, calls);
        ns[i] = now_ns() - start;
    }
}

#endif
