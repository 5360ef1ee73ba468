"""Tiles of int8 weights: some quantised rows by some panels, in registers, and the one conversion of their sums.

A quantised row is a float, its scale s_a, and from CGRU_NUMBERS on its numbers p_k + CGRU_SHIFT, a byte each, rounded
up to words of four; and behind them, where several rows want it (CGRU_WIDE), the same in 16 bits. What is computed is
said in cgru/quantize.py.
"""

from cgru.engines._target cimport LANES  # of CGRU_LANES below: no name of it is used in Cython
from libc.stdint cimport int32_t

cdef extern from *:
    """
    #include "widen_int8.h"

    #if defined(_MSC_VER) && !defined(__clang__)
    #define CGRU_UNROLL_INTS
    #else
    #define CGRU_UNROLL_INTS _Pragma("GCC unroll 24")   /* gcc then has every sum in a variable of its own */
    #endif

    #define CGRU_NUMBERS 16
    #define cgru_rounded(depth) (((depth) + 3) / 4 * 16)    /* bytes of so many words' numbers, on whole vectors */
    #define CGRU_ROW_BYTES(depth) (CGRU_NUMBERS + (CGRU_WIDE ? 3 : 1) * cgru_rounded(depth))

    CGRU_SAME_INLINE int32_t cgru_word(const char *words, Py_ssize_t d)
    {
        int32_t word;
        memcpy(&word, words + 4 * d, sizeof word);
        return word;
    }

    /* What a row needs beyond its numbers, once they are there, where it is one of several. */
    CGRU_SAME_INLINE void cgru_finish_row(char *row, Py_ssize_t depth)
    {
    #if CGRU_WIDE
        cgru_widen(row + CGRU_NUMBERS, row + CGRU_NUMBERS + cgru_rounded(depth), depth);
    #endif
    }

    /* Adds the products of all words: sums (rows, vectors). */
    CGRU_SAME_INLINE void cgru_add_words_int8(
        Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t vectors, const char *const *x, const char *data,
        Py_ssize_t depth, cgru_ints *sums)
    {
        const Py_ssize_t line = CGRU_LANES * 4, extra = vectors - 3 * panels;
        for (Py_ssize_t d = 0; d < depth; d++) {
            CGRU_UNROLL_INTS for (Py_ssize_t r = 0; r < rows; r++) {
                const cgru_ints a = cgru_all(cgru_word(x[r] + CGRU_NUMBERS, d));
                CGRU_UNROLL_INTS for (Py_ssize_t v = 0; v < vectors; v++) {
                    const Py_ssize_t p = v / 3, wide = p < panels ? 3 : extra;
                    const char *w = data + (p * depth * 3 + d * wide + v % 3) * line;
                    sums[r * vectors + v] = cgru_dot(sums[r * vectors + v], cgru_load(w), a);
                }
            }
        }
    }

    #if CGRU_WIDE
    CGRU_SAME_INLINE void cgru_add_words_wide(
        Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t vectors, const char *const *x, const char *data,
        Py_ssize_t depth, cgru_ints *sums)
    {
        const Py_ssize_t line = CGRU_LANES * 4, extra = vectors - 3 * panels;
        const Py_ssize_t start = CGRU_NUMBERS + cgru_rounded(depth);
        for (Py_ssize_t d = 0; d < depth; d++) {
            CGRU_UNROLL_INTS for (Py_ssize_t v = 0; v < vectors; v++) {
                const Py_ssize_t p = v / 3, wide = p < panels ? 3 : extra;
                const cgru_ints w = cgru_load(data + (p * depth * 3 + d * wide + v % 3) * line);
                const cgru_ints even = cgru_even(w), odd = cgru_odd(w);
                CGRU_UNROLL_INTS for (Py_ssize_t r = 0; r < rows; r++) {
                    cgru_ints *sum = sums + r * vectors + v;
                    *sum = cgru_dot_wide(*sum, even, cgru_all(cgru_word(x[r] + start, 2 * d)));
                    *sum = cgru_dot_wide(*sum, odd, cgru_all(cgru_word(x[r] + start, 2 * d + 1)));
                }
            }
        }
    }
    #else
    #define cgru_add_words_wide cgru_add_words_int8
    #endif

    /* float(sum) (s_w s_a) + b of a vector of sums: every operation rounded by itself */
    CGRU_SAME_INLINE void cgru_store_int8(
        cgru_ints sums, const float *scale, float row_scale, const float *bias, float *out)
    {
        int32_t whole[CGRU_LANES];
        cgru_store(whole, sums);
        for (int lane = 0; lane < CGRU_LANES; lane++)
            out[lane] = (float)whole[lane] * (scale[lane] * row_scale) + bias[lane];
    }

    /* A row has 3 * panels + extra vectors of sums, side by side. */
    CGRU_SAME_INLINE void cgru_tile_int8(
        Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, const char *const *x, const char *data,
        Py_ssize_t depth, const float *bias, const float *scale, const int32_t *start, float *out, Py_ssize_t ld)
    {
        const Py_ssize_t vectors = 3 * panels + extra;
        cgru_ints sums[24];
        CGRU_UNROLL_INTS for (Py_ssize_t v = 0; v < vectors; v++)
            CGRU_UNROLL_INTS for (Py_ssize_t r = 0; r < rows; r++)
                sums[r * vectors + v] = CGRU_SHIFT ? cgru_load(start + v * CGRU_LANES) : cgru_all(0);
        if (rows == 1)
            cgru_add_words_int8(rows, panels, vectors, x, data, depth, sums);
        else
            cgru_add_words_wide(rows, panels, vectors, x, data, depth, sums);
        CGRU_UNROLL_INTS for (Py_ssize_t r = 0; r < rows; r++) {
            float row_scale;
            memcpy(&row_scale, x[r], sizeof row_scale);
            CGRU_UNROLL_INTS for (Py_ssize_t v = 0; v < vectors; v++)
                cgru_store_int8(
                    sums[r * vectors + v], scale + v * CGRU_LANES, row_scale, bias + v * CGRU_LANES,
                    out + r * ld + v * CGRU_LANES);
        }
    }
    """
    enum: SHIFT "CGRU_SHIFT"
    enum: NUMBERS "CGRU_NUMBERS"
    Py_ssize_t row_bytes "CGRU_ROW_BYTES"(Py_ssize_t depth) noexcept nogil
    void finish_row "cgru_finish_row"(char* row, Py_ssize_t depth) noexcept nogil
    # the first three are compile-time constants; rows * (3 * panels + extra) is at most 24
    void tile_int8 "cgru_tile_int8"(
        Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, const char* const* x, const char* data,
        Py_ssize_t depth, const float* bias, const float* scale, const int32_t* start, float* out, Py_ssize_t ld
    ) noexcept nogil
