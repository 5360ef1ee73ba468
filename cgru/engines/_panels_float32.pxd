"""Products of panels of float32 weights: rows of x times packed weights, in registers.

A tile of up to ROWS rows of x by one panel is accumulated in registers. Each output is one chain of fused
multiply-adds: its bias first, then k ascending.

This file holds products only. With the gates' polynomials inlined into them, the compiler would spill accumulators.
"""

cimport numpy as cnp
from cgru.engines._panels cimport Panels
from cgru.engines._target cimport LANES, ROWS, SPELLED, WIDTH, fmaf
from cgru.engines._tile_neon cimport spelled_pair, spelled_tile


cdef inline void tile(
    Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra,    # compile-time constants
    const float* const* x,                 # IN rows pointers to K floats
    const float* data, const float* bias, Py_ssize_t K,
    float* out, Py_ssize_t ld,             # OUT (rows, panels * WIDTH + extra * LANES), rows ld apart
) noexcept nogil:
    """Some panels by some rows, and `extra` vectors of the narrow panel that follows; at most 24 (12) vectors of sums.

    The sums are set and stored without a loop over the rows: gcc keeps such a loop as one, and then the sums pass
    through memory on their way into registers and out, which a short K pays dearly.
    """
    cdef float acc[24 * LANES]
    cdef const float* narrow = data + panels * K * WIDTH
    cdef const float* w
    cdef float value
    cdef Py_ssize_t p, r, c, k = 0, wide = panels * rows * WIDTH
    if SPELLED:
        spelled_tile(rows, panels, extra, x, data, bias, K, out, ld)
        return
    set_sums(0, rows, panels, extra, bias, &acc[0])
    set_sums(1, rows, panels, extra, bias, &acc[0])
    set_sums(2, rows, panels, extra, bias, &acc[0])
    set_sums(3, rows, panels, extra, bias, &acc[0])
    set_sums(4, rows, panels, extra, bias, &acc[0])
    set_sums(5, rows, panels, extra, bias, &acc[0])
    set_sums(6, rows, panels, extra, bias, &acc[0])
    set_sums(7, rows, panels, extra, bias, &acc[0])
    while True:                            # K is at least 1
        for p in range(panels):
            w = data + (p * K + k) * WIDTH
            for r in range(rows):
                value = x[r][k]
                for c in range(WIDTH):
                    acc[(p * rows + r) * WIDTH + c] = fmaf(value, w[c], acc[(p * rows + r) * WIDTH + c])
        if extra:
            w = narrow + k * extra * LANES
            for r in range(rows):
                value = x[r][k]
                for c in range(extra * LANES):
                    acc[wide + r * extra * LANES + c] = fmaf(value, w[c], acc[wide + r * extra * LANES + c])
        k += 1
        if k == K:
            break
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


cdef inline void accumulate(
    Py_ssize_t panels, Py_ssize_t extra, float* acc, float value, const float* data, Py_ssize_t K, Py_ssize_t k
) noexcept nogil:
    """Step k of a single row for some panels."""
    cdef const float* narrow = data + panels * K * WIDTH + k * extra * LANES
    cdef Py_ssize_t p, c
    for p in range(panels):
        for c in range(WIDTH):
            acc[p * WIDTH + c] = fmaf(value, data[(p * K + k) * WIDTH + c], acc[p * WIDTH + c])
    if extra:
        for c in range(extra * LANES):
            acc[panels * WIDTH + c] = fmaf(value, narrow[c], acc[panels * WIDTH + c])


cdef inline void tile_pair(
    Py_ssize_t panels, Py_ssize_t extra,   # compile-time constants: both matrices are such a single row of panels
    const Panels* W, const float* x, float* gi,
    const Panels* U, const float* h, float* gh,
) noexcept nogil:
    """gi = b + W x and gh = c + U h of a single row, column by column in turn (see few_rows)."""
    cdef const float* w = <const float*>W.data
    cdef const float* u = <const float*>U.data
    cdef float a[12 * LANES]
    cdef float b[12 * LANES]
    cdef Py_ssize_t k, c, both = min(W.K, U.K)
    if SPELLED:
        spelled_pair(panels, extra, w, W.bias, W.K, x, gi, u, U.bias, U.K, h, gh)
        return
    for c in range(panels * WIDTH + extra * LANES):
        a[c] = W.bias[c]
        b[c] = U.bias[c]
    for k in range(both):
        accumulate(panels, extra, a, x[k], w, W.K, k)
        accumulate(panels, extra, b, h[k], u, U.K, k)
    for k in range(both, W.K):
        accumulate(panels, extra, a, x[k], w, W.K, k)
    for k in range(both, U.K):
        accumulate(panels, extra, b, h[k], u, U.K, k)
    for c in range(panels * WIDTH + extra * LANES):
        gi[c] = a[c]
        gh[c] = b[c]


cdef inline void tile_of(
    Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra,    # the last two are compile-time constants
    const float* const* x, const float* data, const float* bias, Py_ssize_t K, float* out, Py_ssize_t ld,
) noexcept nogil:
    """One panel, or a narrow one, by 1 to ROWS rows."""
    if rows == 1:
        tile(1, panels, extra, x, data, bias, K, out, ld)
    elif rows == 2:
        tile(2, panels, extra, x, data, bias, K, out, ld)
    elif rows == 3:
        tile(3, panels, extra, x, data, bias, K, out, ld)
    elif rows == 4 or ROWS == 4:
        tile(4, panels, extra, x, data, bias, K, out, ld)
    elif rows == 5:
        tile(5, panels, extra, x, data, bias, K, out, ld)
    elif rows == 6:
        tile(6, panels, extra, x, data, bias, K, out, ld)
    elif rows == 7:
        tile(7, panels, extra, x, data, bias, K, out, ld)
    else:
        tile(8, panels, extra, x, data, bias, K, out, ld)


cdef inline void all_rows(
    Py_ssize_t full, Py_ssize_t extra,     # compile-time constants: one panel, or a narrow one
    Py_ssize_t rows, const float* const* x, const float* data, const float* bias, Py_ssize_t K,
    float* out, Py_ssize_t ld,
) noexcept nogil:
    """A panel by all rows, in tiles of nearly the same number of rows.

    9 rows are 5 and 4, not 8 and 1, because a tile of a single row leaves the processor idle for much of the time (see
    few_rows).
    """
    cdef Py_ssize_t r = 0, tiles = (rows + ROWS - 1) // ROWS, size_of_tile
    while tiles > 0:
        size_of_tile = (rows - r + tiles - 1) // tiles
        tile_of(size_of_tile, full, extra, x + r, data, bias, K, out + r * ld, ld)
        r += size_of_tile
        tiles -= 1


cdef inline Py_ssize_t few_rows(
    Py_ssize_t rows, Py_ssize_t together,  # compile-time constants; rows * together <= ROWS
    const Panels* panels, Py_ssize_t end, const float* const* x, float* out, Py_ssize_t ld,
) noexcept nogil:
    """Rows that are too few for a tile: panels up to number `end`, `together` at a time; the panel where that ends.

    A panel has three vectors of sums for a row, and each addition waits for the one before it in the same vector.
    With more vectors the processor has other work meanwhile.
    """
    cdef Py_ssize_t p = 0, K = panels.K, size = panels.K * WIDTH
    cdef const float* data = <const float*>panels.data
    while p + together <= end:
        tile(rows, together, 0, x, data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH, ld)
        p += together
    return p


cdef inline void row_end(
    Py_ssize_t extra,                      # a compile-time constant
    Py_ssize_t left, const float* const* x, const float* data, const float* bias, Py_ssize_t K, float* out,
) noexcept nogil:
    """The last panels of a single row, up to four, and the narrow one together."""
    if left == 4:
        tile(1, 4, extra, x, data, bias, K, out, 0)
    elif left == 3:
        tile(1, 3, extra, x, data, bias, K, out, 0)
    elif left == 2:
        tile(1, 2, extra, x, data, bias, K, out, 0)
    elif left == 1:
        tile(1, 1, extra, x, data, bias, K, out, 0)
    elif extra:
        tile(1, 0, extra, x, data, bias, K, out, 0)


cdef inline void row_product(const Panels* panels, const float* const* x, float* out) noexcept nogil:
    """A single row: four panels at a time, and the last ones so that none is alone: 5 are 3 and 2."""
    cdef Py_ssize_t p, left, K = panels.K, size = panels.K * WIDTH
    cdef const float* data = <const float*>panels.data
    p = few_rows(1, 4, panels, panels.full - 2, x, out, 0)
    left = panels.full - p
    if left == 5:
        tile(1, 3, 0, x, data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH, 0)
        p += 3
        left -= 3
    if panels.extra == 0:
        row_end(0, left, x, data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH)
    elif panels.extra == 1:
        row_end(1, left, x, data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH)
    else:
        row_end(2, left, x, data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH)


cdef inline void product_float32(
    const Panels* panels, Py_ssize_t rows, const float* const* x, float* out, Py_ssize_t ld
) noexcept nogil:
    """`Panels.product`: a panel stays in cache while the rows pass."""
    cdef Py_ssize_t p = 0, full = panels.full, K = panels.K, size = panels.K * WIDTH
    cdef const float* data = <const float*>panels.data
    cdef const float* bias = panels.bias
    if rows == 1:
        row_product(panels, x, out)
        return
    if rows == 2:
        p = few_rows(2, 2, panels, full, x, out, ld)
    elif rows == 3 and ROWS == 8:
        p = few_rows(3, 2, panels, full, x, out, ld)
    elif rows == 4 and ROWS == 8:
        p = few_rows(4, 2, panels, full, x, out, ld)
    while p < full:
        all_rows(1, 0, rows, x, data + p * size, bias + p * WIDTH, K, out + p * WIDTH, ld)
        p += 1
    if panels.extra == 1:
        all_rows(0, 1, rows, x, data + p * size, bias + p * WIDTH, K, out + p * WIDTH, ld)
    elif panels.extra == 2:
        all_rows(0, 2, rows, x, data + p * size, bias + p * WIDTH, K, out + p * WIDTH, ld)


cdef inline void product_pair_float32(
    const Panels* W, const float* const* x, float* gi, const Panels* U, const float* const* h, float* gh
) noexcept nogil:
    """`Panels.product_pair`: small matrices together, others one after the other."""
    cdef Py_ssize_t vectors = 3 * W.full + W.extra
    if vectors != 3 * U.full + U.extra:
        vectors = 0
    if vectors == 1:
        tile_pair(0, 1, W, x[0], gi, U, h[0], gh)
    elif vectors == 2:
        tile_pair(0, 2, W, x[0], gi, U, h[0], gh)
    elif vectors == 3:
        tile_pair(1, 0, W, x[0], gi, U, h[0], gh)
    elif vectors == 4:
        tile_pair(1, 1, W, x[0], gi, U, h[0], gh)
    elif vectors == 5:
        tile_pair(1, 2, W, x[0], gi, U, h[0], gh)
    elif vectors == 6:
        tile_pair(2, 0, W, x[0], gi, U, h[0], gh)
    elif vectors == 8 and ROWS == 8:
        tile_pair(2, 2, W, x[0], gi, U, h[0], gh)
    elif vectors == 9 and ROWS == 8:
        tile_pair(3, 0, W, x[0], gi, U, h[0], gh)
    else:
        W.product(W, 1, x, gi, 0)
        U.product(U, 1, h, gh, 0)


cdef inline Panels panels_float32(cnp.ndarray data, cnp.ndarray bias, Py_ssize_t K):
    """Of packed weights and biases, which the caller keeps alive."""
    cdef Panels panels
    panels.columns, panels.K = cnp.PyArray_SIZE(bias), K
    panels.full, panels.extra = panels.columns // WIDTH, panels.columns % WIDTH // LANES
    panels.data, panels.bias = cnp.PyArray_DATA(data), <const float*>cnp.PyArray_DATA(bias)
    panels.product, panels.product_pair = product_float32, product_pair_float32
    return panels
