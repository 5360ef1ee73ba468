"""The tiles of _tile.pxd in vectors that are spelled out, for 64-bit ARM.

A vector there is as short as the loops that compilers write out number by number. clang 22 finds the vectors again for
some tiles and leaves others scalar; gcc 12 does for none, and keeps sums in memory. The arithmetic is the same: one
chain of fused multiply-adds for each output, its bias first, then k ascending. The weights are packed as anywhere:
LANES is 4, WIDTH 12; `halves` says that they are bfloat16, two columns in a word.
"""

from cgru.engines._target cimport SPELLED

cdef extern from *:
    """
    #if CGRU_SPELLED
    #include <arm_neon.h>

    #define CGRU_INLINE static inline __attribute__((always_inline))
    #define CGRU_UNROLL _Pragma("GCC unroll 24")      /* gcc then has every sum in a variable of its own */

    typedef float32x4_t cgru_vector __attribute__((aligned(4), may_alias));

    /* As in `tile_float`: a row has 3 * panels + extra vectors of sums, side by side. */

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

    /* Weights of a vector of words: of float32, or of the even or the odd column of bfloat16. */
    CGRU_INLINE float32x4_t cgru_weights(int halves, int odd, const float *words)
    {
        const float32x4_t w = *(const cgru_vector *)words;
        if (!halves)
            return w;
        const uint32x4_t bits = vreinterpretq_u32_f32(w);
        return vreinterpretq_f32_u32(odd ? vandq_u32(bits, vdupq_n_u32(0xFFFF0000u)) : vshlq_n_u32(bits, 16));
    }

    /* Word d, whose weights are read in the order of memory: column d, or 2 d and, with `pair`, 2 d + 1. */
    CGRU_INLINE void cgru_add_word(
        int halves, int pair, Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, float32x4_t *sums,
        const float *const *x, const float *data, Py_ssize_t depth, Py_ssize_t d)
    {
        CGRU_UNROLL for (Py_ssize_t p = 0; p <= panels; p++) {
            const Py_ssize_t vectors = p < panels ? 3 : extra;
            const float *w = data + (p * depth * 3 + d * vectors) * 4;
            CGRU_UNROLL for (int odd = 0; odd <= pair; odd++) {
                const Py_ssize_t k = halves ? 2 * d + odd : d;
                CGRU_UNROLL for (Py_ssize_t r = 0; r < rows; r++)
                    CGRU_UNROLL for (Py_ssize_t v = 0; v < vectors; v++) {
                        float32x4_t *sum = sums + r * (3 * panels + extra) + 3 * p + v;
                        *sum = vfmaq_f32(*sum, cgru_weights(halves, odd, w + 4 * v), vdupq_n_f32(x[r][k]));
                    }
            }
        }
    }

    /* All words from d on. */
    CGRU_INLINE void cgru_add_words(
        int halves, Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, float32x4_t *sums,
        const float *const *x, const float *data, Py_ssize_t K, Py_ssize_t d)
    {
        const Py_ssize_t whole = halves ? K / 2 : K, depth = halves ? (K + 1) / 2 : K;
        for (; d < whole; d++)
            cgru_add_word(halves, halves, rows, panels, extra, sums, x, data, depth, d);
        if (d < depth)
            cgru_add_word(halves, 0, rows, panels, extra, sums, x, data, depth, d);
    }

    CGRU_INLINE void cgru_tile(
        int halves, Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, const float *const *x,
        const char *data, const float *bias, Py_ssize_t K, float *out, Py_ssize_t ld)
    {
        float32x4_t sums[24];
        cgru_set_sums(rows, 3 * panels + extra, bias, sums);
        cgru_add_words(halves, rows, panels, extra, sums, x, (const float *)data, K, 0);
        cgru_store_sums(rows, 3 * panels + extra, sums, out, ld);
    }

    CGRU_INLINE void cgru_tile_pair(
        int halves, Py_ssize_t panels, Py_ssize_t extra,
        const char *w, const float *b, Py_ssize_t K, const float *const *x, float *gi,
        const char *u, const float *c, Py_ssize_t H, const float *const *h, float *gh)
    {
        float32x4_t sums_x[12], sums_h[12];
        const Py_ssize_t depth_w = halves ? (K + 1) / 2 : K, depth_u = halves ? (H + 1) / 2 : H;
        const Py_ssize_t both = (K < H ? K : H) / (halves ? 2 : 1);
        Py_ssize_t d = 0;
        cgru_set_sums(1, 3 * panels + extra, b, sums_x);
        cgru_set_sums(1, 3 * panels + extra, c, sums_h);
        for (; d < both; d++) {
            cgru_add_word(halves, halves, 1, panels, extra, sums_x, x, (const float *)w, depth_w, d);
            cgru_add_word(halves, halves, 1, panels, extra, sums_h, h, (const float *)u, depth_u, d);
        }
        cgru_add_words(halves, 1, panels, extra, sums_x, x, (const float *)w, K, d);
        cgru_add_words(halves, 1, panels, extra, sums_h, h, (const float *)u, H, d);
        cgru_store_sums(1, 3 * panels + extra, sums_x, gi, 0);
        cgru_store_sums(1, 3 * panels + extra, sums_h, gh, 0);
    }
    #else
    #define cgru_tile(...) ((void)0)
    #define cgru_tile_pair(...) ((void)0)
    #endif
    """
    # the first arguments, up to `extra`, are compile-time constants; the rest is as in `tile_float` and `tile_pair`
    void spelled_tile "cgru_tile"(
        bint halves, Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, const float* const* x,
        const char* data, const float* bias, Py_ssize_t K, float* out, Py_ssize_t ld
    ) noexcept nogil
    void spelled_pair "cgru_tile_pair"(
        bint halves, Py_ssize_t panels, Py_ssize_t extra,
        const char* w, const float* b, Py_ssize_t K, const float* const* x, float* gi,
        const char* u, const float* c, Py_ssize_t H, const float* const* h, float* gh
    ) noexcept nogil
