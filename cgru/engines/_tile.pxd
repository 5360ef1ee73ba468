"""Tiles of float32 and bfloat16 weights: some rows of x by some panels, in registers.

Each output is one chain of fused multiply-adds: its bias first, then k ascending. A bfloat16 weight is the upper half
of a float32 number, so its word holds that of an even k below and that of an odd k above; both are expanded here, in
registers.

This file holds products only. With the gates' polynomials inlined into them, the compiler would spill accumulators.
"""

from cgru.engines._bits cimport as_float
from cgru.engines._panels cimport BFLOAT16, Panels
from cgru.engines._target cimport LANES, SPELLED, WIDTH, fmaf
from cgru.engines._tile_neon cimport spelled_pair, spelled_tile
from libc.stdint cimport uint32_t


cdef inline float weight_of(int type, bint odd, const void* words, Py_ssize_t c) noexcept nogil:
    """The weight of a word; of the odd column where there are two."""
    if type != BFLOAT16:
        return (<const float*>words)[c]
    if odd:
        return as_float((<const uint32_t*>words)[c] & <uint32_t>0xFFFF0000)
    return as_float((<const uint32_t*>words)[c] << 16)


cdef inline void add_column(
    int type, bint odd, Py_ssize_t rows, Py_ssize_t width,           # compile-time constants
    const float* const* x, Py_ssize_t k, const void* words, float* acc
) noexcept nogil:
    """Column k of a panel of this width: acc (rows, width) += x[:, k] times its weights."""
    cdef Py_ssize_t r, c
    cdef float value
    for r in range(rows):
        value = x[r][k]
        for c in range(width):
            acc[r * width + c] = fmaf(value, weight_of(type, odd, words, c), acc[r * width + c])


cdef inline void add_word(
    int type, Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, bint pair,   # compile-time constants
    const float* const* x, const char* data, Py_ssize_t depth, Py_ssize_t d, float* acc
) noexcept nogil:
    """Word d of all of a tile's columns: column d, or the columns 2 d and, with `pair`, 2 d + 1."""
    cdef const char* words
    cdef Py_ssize_t p, k = 2 * d if type == BFLOAT16 else d
    for p in range(panels):
        words = data + (p * depth + d) * WIDTH * sizeof(float)
        add_column(type, False, rows, WIDTH, x, k, words, acc + p * rows * WIDTH)
        if pair:
            add_column(type, True, rows, WIDTH, x, k + 1, words, acc + p * rows * WIDTH)
    if extra:
        words = data + (panels * depth * WIDTH + d * extra * LANES) * sizeof(float)
        add_column(type, False, rows, extra * LANES, x, k, words, acc + panels * rows * WIDTH)
        if pair:
            add_column(type, True, rows, extra * LANES, x, k + 1, words, acc + panels * rows * WIDTH)


cdef inline void tile_float(
    int type, Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra,  # compile-time constants
    const Panels* matrix, Py_ssize_t p, const float* const* x,       # IN rows pointers to K floats
    float* out, Py_ssize_t ld,             # OUT (rows, panels * WIDTH + extra * LANES), rows ld apart
) noexcept nogil:
    """Some panels from number p on by some rows, and `extra` vectors of the narrow panel that follows.

    There are at most 24 (12) vectors of sums. They are set and stored without a loop over the rows: gcc keeps such a
    loop as one, and then the sums pass through memory on their way into registers and out, which a short K pays dearly.
    """
    cdef float acc[24 * LANES]
    cdef Py_ssize_t depth = matrix.depth, d = 0, whole = matrix.K // 2 if type == BFLOAT16 else matrix.K
    cdef const char* data = <const char*>matrix.data + p * depth * WIDTH * sizeof(float)
    cdef const float* bias = matrix.bias + p * WIDTH
    if SPELLED:
        spelled_tile(type == BFLOAT16, rows, panels, extra, x, data, bias, matrix.K, out, ld)
        return
    set_sums(0, rows, panels, extra, bias, &acc[0])
    set_sums(1, rows, panels, extra, bias, &acc[0])
    set_sums(2, rows, panels, extra, bias, &acc[0])
    set_sums(3, rows, panels, extra, bias, &acc[0])
    set_sums(4, rows, panels, extra, bias, &acc[0])
    set_sums(5, rows, panels, extra, bias, &acc[0])
    set_sums(6, rows, panels, extra, bias, &acc[0])
    set_sums(7, rows, panels, extra, bias, &acc[0])
    while d < whole:
        add_word(type, rows, panels, extra, type == BFLOAT16, x, data, depth, d, &acc[0])
        d += 1
    if d < depth:                          # an odd number of bfloat16 columns
        add_word(type, rows, panels, extra, False, x, data, depth, d, &acc[0])
    store_sums(0, rows, panels, extra, &acc[0], out, ld)
    store_sums(1, rows, panels, extra, &acc[0], out, ld)
    store_sums(2, rows, panels, extra, &acc[0], out, ld)
    store_sums(3, rows, panels, extra, &acc[0], out, ld)
    store_sums(4, rows, panels, extra, &acc[0], out, ld)
    store_sums(5, rows, panels, extra, &acc[0], out, ld)
    store_sums(6, rows, panels, extra, &acc[0], out, ld)
    store_sums(7, rows, panels, extra, &acc[0], out, ld)


cdef inline void set_sums(
    Py_ssize_t number, Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, const float* bias, float* acc
) noexcept nogil:
    """Biases into a tile's sums: row number % rows of panel number / rows, and row `number` of the extra ones."""
    cdef Py_ssize_t c
    if number < rows * panels:
        for c in range(WIDTH):
            acc[number * WIDTH + c] = bias[number // rows * WIDTH + c]
    if extra and number < rows:
        for c in range(extra * LANES):
            acc[panels * rows * WIDTH + number * extra * LANES + c] = bias[panels * WIDTH + c]


cdef inline void store_sums(
    Py_ssize_t number, Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra, const float* acc, float* out,
    Py_ssize_t ld,
) noexcept nogil:
    """The sums that `set_sums` has set, to their places."""
    cdef Py_ssize_t c
    if number < rows * panels:
        for c in range(WIDTH):
            out[number % rows * ld + number // rows * WIDTH + c] = acc[number * WIDTH + c]
    if extra and number < rows:
        for c in range(extra * LANES):
            out[number * ld + panels * WIDTH + c] = acc[panels * rows * WIDTH + number * extra * LANES + c]


cdef inline void tile_pair(
    int type, Py_ssize_t panels, Py_ssize_t extra,   # compile-time constants: both matrices are such a row of panels
    const Panels* W, const float* const* x, float* gi,
    const Panels* U, const float* const* h, float* gh,
) noexcept nogil:
    """gi = b + W x and gh = c + U h of a single row, word by word in turn (see few_rows in _products.pxd)."""
    cdef const char* w = <const char*>W.data
    cdef const char* u = <const char*>U.data
    cdef float a[12 * LANES]
    cdef float b[12 * LANES]
    cdef bint halves = type == BFLOAT16
    cdef Py_ssize_t d, c, whole_w = W.K // 2 if halves else W.K, whole_u = U.K // 2 if halves else U.K
    cdef Py_ssize_t both = min(whole_w, whole_u)
    if SPELLED:
        spelled_pair(halves, panels, extra, w, W.bias, W.K, x, gi, u, U.bias, U.K, h, gh)
        return
    for c in range(panels * WIDTH + extra * LANES):
        a[c] = W.bias[c]
        b[c] = U.bias[c]
    for d in range(both):
        add_word(type, 1, panels, extra, halves, x, w, W.depth, d, &a[0])
        add_word(type, 1, panels, extra, halves, h, u, U.depth, d, &b[0])
    for d in range(both, whole_w):
        add_word(type, 1, panels, extra, halves, x, w, W.depth, d, &a[0])
    for d in range(both, whole_u):
        add_word(type, 1, panels, extra, halves, h, u, U.depth, d, &b[0])
    if halves and W.K % 2:
        add_word(type, 1, panels, extra, False, x, w, W.depth, whole_w, &a[0])
    if halves and U.K % 2:
        add_word(type, 1, panels, extra, False, h, u, U.depth, whole_u, &b[0])
    for c in range(panels * WIDTH + extra * LANES):
        gi[c] = a[c]
        gh[c] = b[c]
