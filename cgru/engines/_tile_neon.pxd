"""The tiles of _panels_float32.pxd in vectors that are spelled out, for 64-bit ARM.

A vector there is as short as the loops that compilers write out number by number. clang 22 finds the vectors again for
some tiles and leaves others scalar; gcc 12 does for none, and keeps sums in memory. The arithmetic is the same: one
chain of fused multiply-adds for each output, its bias first, then k ascending. The weights are packed as anywhere:
LANES is 4, WIDTH 12.
"""

from cgru.engines._target cimport SPELLED

cdef extern from *:
    """
    #if CGRU_SPELLED
    #include <arm_neon.h>

    #define CGRU_INLINE static inline __attribute__((always_inline))
    #define CGRU_UNROLL _Pragma("GCC unroll 24")      /* gcc then has every sum in a variable of its own */

    typedef float32x4_t cgru_vector __attribute__((aligned(4), may_alias));

    /* As in `tile`: a row has 3 * panels + extra vectors of sums, side by side. */

    CGRU_INLINE void cgru_set_sums(Py_ssize_t rows, Py_ssize_t vectors, const float *bias, float32x4_t *sums)
    {
        CGRU_UNROLL for (Py_ssize_t r = 0; r < rows; r++)
            CGRU_UNROLL for (Py_ssize_t v = 0; v < vectors; v++)
                sums[r * vectors + v] = *(const cgru_vector *)(bias + 4 * v);
    }

    CGRU_INLINE void cgru_store_sums(
        Py_ssize_t rows, Py_ssize_t vectors, const float32x4_t *sums, float *out, Py_ssize_t ld)
    {
        CGRU_UNROLL for (Py_ssize_t r = 0; r < rows; r++)
            CGRU_UNROLL for (Py_ssize_t v = 0; v < vectors; v++)
                *(cgru_vector *)(out + r * ld + 4 * v) = sums[r * vectors + v];
    }

    /* Column k, whose weights are read in the order of memory. */
    CGRU_INLINE void cgru_add_column(
        Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, float32x4_t *sums,
        const float *const *x, const float *data, Py_ssize_t K, Py_ssize_t k)
    {
        CGRU_UNROLL for (Py_ssize_t p = 0; p <= panels; p++) {
            const Py_ssize_t vectors = p < panels ? 3 : extra;
            const float *w = data + (p * K * 3 + k * vectors) * 4;
            CGRU_UNROLL for (Py_ssize_t r = 0; r < rows; r++)
                CGRU_UNROLL for (Py_ssize_t v = 0; v < vectors; v++) {
                    float32x4_t *sum = sums + r * (3 * panels + extra) + 3 * p + v;
                    *sum = vfmaq_f32(*sum, *(const cgru_vector *)(w + 4 * v), vdupq_n_f32(x[r][k]));
                }
        }
    }

    CGRU_INLINE void cgru_tile(
        Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, const float *const *x,
        const float *data, const float *bias, Py_ssize_t K, float *out, Py_ssize_t ld)
    {
        float32x4_t sums[24];
        Py_ssize_t k = 0;
        cgru_set_sums(rows, 3 * panels + extra, bias, sums);
        do
            cgru_add_column(rows, panels, extra, sums, x, data, K, k);
        while (++k < K);
        cgru_store_sums(rows, 3 * panels + extra, sums, out, ld);
    }

    CGRU_INLINE void cgru_tile_pair(
        Py_ssize_t panels, Py_ssize_t extra,
        const float *w, const float *b, Py_ssize_t K, const float *x, float *gi,
        const float *u, const float *c, Py_ssize_t H, const float *h, float *gh)
    {
        float32x4_t sums_x[12], sums_h[12];
        Py_ssize_t k = 0;
        cgru_set_sums(1, 3 * panels + extra, b, sums_x);
        cgru_set_sums(1, 3 * panels + extra, c, sums_h);
        for (; k < K && k < H; k++) {
            cgru_add_column(1, panels, extra, sums_x, &x, w, K, k);
            cgru_add_column(1, panels, extra, sums_h, &h, u, H, k);
        }
        for (Py_ssize_t i = k; i < K; i++)
            cgru_add_column(1, panels, extra, sums_x, &x, w, K, i);
        for (Py_ssize_t i = k; i < H; i++)
            cgru_add_column(1, panels, extra, sums_h, &h, u, H, i);
        cgru_store_sums(1, 3 * panels + extra, sums_x, gi, 0);
        cgru_store_sums(1, 3 * panels + extra, sums_h, gh, 0);
    }
    #else
    #define cgru_tile(...) ((void)0)
    #define cgru_tile_pair(...) ((void)0)
    #endif
    """
    # the first arguments, up to `extra`, are compile-time constants; the rest is as in `tile` and `tile_pair`
    void spelled_tile "cgru_tile"(
        Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, const float* const* x,
        const float* data, const float* bias, Py_ssize_t K, float* out, Py_ssize_t ld
    ) noexcept nogil
    void spelled_pair "cgru_tile_pair"(
        Py_ssize_t panels, Py_ssize_t extra,
        const float* w, const float* b, Py_ssize_t K, const float* x, float* gi,
        const float* u, const float* c, Py_ssize_t H, const float* h, float* gh
    ) noexcept nogil
