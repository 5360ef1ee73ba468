"""The panel product: rows of x times packed weights, in registers.

Packed layout. A weight matrix of M rows and K columns becomes panels of WIDTH = 3 * LANES of its rows, transposed:

    panel p:   K x WIDTH floats, contiguous      p[k][c] = weight of column k for the output p * WIDTH + c

zero-padded to whole panels and 64-byte aligned. A tile of up to ROWS rows of x by one panel is accumulated in
registers, each output as one chain of fused multiply-adds: its bias first, then k ascending. So a row's result
depends on nothing but the row: not on the tile, not on the batch, not on the ISA.

This file holds products only. Inlining the gate polynomials into them would make the compiler spill accumulators.
"""

from cgru.engines._gates cimport LANES, fmaf

cdef extern from *:
    """
    #define CGRU_WIDTH (3 * CGRU_LANES)
    /* rows of a tile: ROWS * 3 accumulators, 3 weights and a broadcast must fit the vector registers */
    #if defined(__AVX512F__) || defined(__aarch64__)
    #define CGRU_ROWS 8
    #else
    #define CGRU_ROWS 4
    #endif
    """
    enum: WIDTH "CGRU_WIDTH"
    enum: ROWS "CGRU_ROWS"


cdef struct Panels:
    Py_ssize_t K                        # columns of the matrix
    Py_ssize_t count                    # panels
    const float* data                   # (count, K, WIDTH)
    const float* bias                   # (count, WIDTH)


cdef inline void tile(
    Py_ssize_t rows, Py_ssize_t panels,    # compile-time constants at every call; rows * panels <= 8 (4)
    const float* const* x,                 # IN rows pointers to K floats
    const float* data, const float* bias, Py_ssize_t K,
    float* out, Py_ssize_t ld,             # OUT (rows, panels * WIDTH), rows ld apart
) noexcept nogil:
    cdef float acc[8 * WIDTH]
    cdef const float* w
    cdef float value
    cdef Py_ssize_t p, r, c, k
    for p in range(panels):
        for r in range(rows):
            for c in range(WIDTH):
                acc[(p * rows + r) * WIDTH + c] = bias[p * WIDTH + c]
    for k in range(K):
        for p in range(panels):
            w = data + (p * K + k) * WIDTH
            for r in range(rows):
                value = x[r][k]
                for c in range(WIDTH):
                    acc[(p * rows + r) * WIDTH + c] = fmaf(value, w[c], acc[(p * rows + r) * WIDTH + c])
    for p in range(panels):
        for r in range(rows):
            for c in range(WIDTH):
                out[r * ld + p * WIDTH + c] = acc[(p * rows + r) * WIDTH + c]


cdef inline void accumulate(
    Py_ssize_t panels, float* acc, float value, const float* data, Py_ssize_t size
) noexcept nogil:
    """One step k of a single row for some panels, `size` floats apart."""
    cdef Py_ssize_t p, c
    for p in range(panels):
        for c in range(WIDTH):
            acc[p * WIDTH + c] = fmaf(value, data[p * size + c], acc[p * WIDTH + c])


cdef inline void tile_pair(
    Py_ssize_t panels,                     # compile-time constant, 1 or 2
    const float* x, const Panels* W, float* gi,
    const float* h, const Panels* U, float* gh,
) noexcept nogil:
    """gi = b + W x and gh = c + U h of a single row side by side.

    A small product is one chain of additions after the other, each waiting for the last; two at once fill the gaps.
    """
    cdef float a[2 * WIDTH]
    cdef float b[2 * WIDTH]
    cdef Py_ssize_t k, c, both = min(W.K, U.K)
    for c in range(panels * WIDTH):
        a[c] = W.bias[c]
        b[c] = U.bias[c]
    for k in range(both):
        accumulate(panels, a, x[k], W.data + k * WIDTH, W.K * WIDTH)
        accumulate(panels, b, h[k], U.data + k * WIDTH, U.K * WIDTH)
    for k in range(both, W.K):
        accumulate(panels, a, x[k], W.data + k * WIDTH, W.K * WIDTH)
    for k in range(both, U.K):
        accumulate(panels, b, h[k], U.data + k * WIDTH, U.K * WIDTH)
    for c in range(panels * WIDTH):
        gi[c] = a[c]
        gh[c] = b[c]


cdef inline void tile_of(
    Py_ssize_t rows, const float* const* x, const float* data, const float* bias, Py_ssize_t K,
    float* out, Py_ssize_t ld,
) noexcept nogil:
    """One panel by 1 to ROWS rows."""
    if rows == 1:
        tile(1, 1, x, data, bias, K, out, ld)
    elif rows == 2:
        tile(2, 1, x, data, bias, K, out, ld)
    elif rows == 3:
        tile(3, 1, x, data, bias, K, out, ld)
    elif rows == 4 or ROWS == 4:
        tile(4, 1, x, data, bias, K, out, ld)
    elif rows == 5:
        tile(5, 1, x, data, bias, K, out, ld)
    elif rows == 6:
        tile(6, 1, x, data, bias, K, out, ld)
    elif rows == 7:
        tile(7, 1, x, data, bias, K, out, ld)
    else:
        tile(8, 1, x, data, bias, K, out, ld)
