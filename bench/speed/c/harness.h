/* What every C baseline shares: the problem, a clock, and the timed loop.
 *
 * A baseline defines `run` and then includes nothing else; the harness exports
 *
 *     gru_run(g, calls)                     runs, for the check of the output
 *     gru_sample(g, calls, count, ns)       fills ns[count], each the time of `calls` runs, in nanoseconds
 *
 * so that the timed loop is C and Python's call overhead is in no figure.
 *
 * Letters: T steps, N rows, I inputs (written `ni`: I is a macro of <complex.h>), H hidden units.
 * Canonical form: gates r, z, n; reset after the product; z keeps the old h.
 */
#ifndef CGRU_BENCH_HARNESS_H
#define CGRU_BENCH_HARNESS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

struct gru {
    int64_t steps, rows, inputs, hidden; /* T, N, I, H */
    int64_t carry;                       /* 1: a call starts from the last call's h; 0: from h_0 */
    const float *w_ih;                   /* (3H, I) row-major */
    const float *w_hh;                   /* (3H, H) row-major */
    const float *b_ih;                   /* (3H,) */
    const float *b_hh;                   /* (3H,) */
    const float *x;                      /* (T, N, I) */
    const float *h_0;                    /* (N, H) */
    float *h;                            /* (N, H) running state, owned by the caller */
    float *y;                            /* (T, N, H) output, owned by the caller */
    float *scratch;                      /* as many floats as gru_scratch says, 64-byte aligned */
    void *sgemv, *sgemm;                 /* Fortran BLAS entry points, or null where unused */
};

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* One call: the whole sequence, from g->h, leaving the last state in g->h. */
static void run(const struct gru *g);

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

EXPORT void gru_run(const struct gru *g, int64_t calls)
{
    for (int64_t c = 0; c < calls; c++) {
        if (!g->carry)
            memcpy(g->h, g->h_0, sizeof(float) * (size_t)(g->rows * g->hidden));
        run(g);
    }
}

EXPORT void gru_sample(const struct gru *g, int64_t calls, int64_t count, int64_t *ns)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t start = now_ns();
        gru_run(g, calls);
        ns[i] = now_ns() - start;
    }
}

#endif
