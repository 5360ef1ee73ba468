"""Products of panels of float32 weights: rows of x times packed weights, in registers.

A tile of up to ROWS rows of x by one panel is accumulated in registers. Each output is one chain of fused
multiply-adds: its bias first, then k ascending.

This file holds products only. With the gates' polynomials inlined into them, the compiler would spill accumulators.
"""

cimport numpy as cnp
from cgru.engines._panels cimport Panels
from cgru.engines._target cimport ROWS, WIDTH, fmaf


cdef inline void tile(
    Py_ssize_t rows, Py_ssize_t panels,    # compile-time constants at every call; rows * panels <= 8 (4)
    const float* const* x,                 # IN rows pointers to K floats
    const float* data, const float* bias, Py_ssize_t K,
    float* out, Py_ssize_t ld,             # OUT (rows, panels * WIDTH), rows ld apart
) noexcept nogil:
    """Some panels by some rows.

    The sums are set and stored without a loop over them: gcc keeps such a loop as one, and then the sums pass through
    memory on their way into registers and out, which a short K pays dearly.
    """
    cdef float acc[8 * WIDTH]
    cdef const float* w
    cdef float value
    cdef Py_ssize_t p, r, c, k = 0
    set_sums(0, rows, panels, bias, &acc[0])
    set_sums(1, rows, panels, bias, &acc[0])
    set_sums(2, rows, panels, bias, &acc[0])
    set_sums(3, rows, panels, bias, &acc[0])
    set_sums(4, rows, panels, bias, &acc[0])
    set_sums(5, rows, panels, bias, &acc[0])
    set_sums(6, rows, panels, bias, &acc[0])
    set_sums(7, rows, panels, bias, &acc[0])
    while True:                            # K is at least 1
        for p in range(panels):
            w = data + (p * K + k) * WIDTH
            for r in range(rows):
                value = x[r][k]
                for c in range(WIDTH):
                    acc[(p * rows + r) * WIDTH + c] = fmaf(value, w[c], acc[(p * rows + r) * WIDTH + c])
        k += 1
        if k == K:
            break
    store_sums(0, rows, panels, &acc[0], out, ld)
    store_sums(1, rows, panels, &acc[0], out, ld)
    store_sums(2, rows, panels, &acc[0], out, ld)
    store_sums(3, rows, panels, &acc[0], out, ld)
    store_sums(4, rows, panels, &acc[0], out, ld)
    store_sums(5, rows, panels, &acc[0], out, ld)
    store_sums(6, rows, panels, &acc[0], out, ld)
    store_sums(7, rows, panels, &acc[0], out, ld)


cdef inline void set_sums(
    Py_ssize_t number, Py_ssize_t rows, Py_ssize_t panels, const float* bias, float* acc
) noexcept nogil:
    """The sums of a tile's row number % rows and panel number / rows, where it has such: its biases."""
    cdef Py_ssize_t c
    if number < rows * panels:
        for c in range(WIDTH):
            acc[number * WIDTH + c] = bias[number // rows * WIDTH + c]


cdef inline void store_sums(
    Py_ssize_t number, Py_ssize_t rows, Py_ssize_t panels, const float* acc, float* out, Py_ssize_t ld
) noexcept nogil:
    cdef Py_ssize_t c
    if number < rows * panels:
        for c in range(WIDTH):
            out[number % rows * ld + number // rows * WIDTH + c] = acc[number * WIDTH + c]


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
    const Panels* W, const float* x, float* gi,
    const Panels* U, const float* h, float* gh,
) noexcept nogil:
    """gi = b + W x and gh = c + U h of a single row, column by column in turn (see row_product)."""
    cdef const float* w = <const float*>W.data
    cdef const float* u = <const float*>U.data
    cdef float a[2 * WIDTH]
    cdef float b[2 * WIDTH]
    cdef Py_ssize_t k, c, both = min(W.K, U.K)
    for c in range(panels * WIDTH):
        a[c] = W.bias[c]
        b[c] = U.bias[c]
    for k in range(both):
        accumulate(panels, a, x[k], w + k * WIDTH, W.K * WIDTH)
        accumulate(panels, b, h[k], u + k * WIDTH, U.K * WIDTH)
    for k in range(both, W.K):
        accumulate(panels, a, x[k], w + k * WIDTH, W.K * WIDTH)
    for k in range(both, U.K):
        accumulate(panels, b, h[k], u + k * WIDTH, U.K * WIDTH)
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


cdef inline void row_product(const Panels* panels, const float* const* x, float* out) noexcept nogil:
    """A single row, up to four panels at a time.

    A panel has three vectors of sums for a row, and each addition waits for the one before it in the same vector.
    With more vectors the processor has other work meanwhile.
    """
    cdef Py_ssize_t p = 0, K = panels.K, size = panels.K * WIDTH
    cdef const float* data = <const float*>panels.data
    while p + 4 <= panels.count:
        tile(1, 4, x, data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH, 0)
        p += 4
    if p + 2 <= panels.count:
        tile(1, 2, x, data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH, 0)
        p += 2
    if p < panels.count:
        tile(1, 1, x, data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH, 0)


cdef inline void product_float32(
    const Panels* panels, Py_ssize_t rows, const float* const* x, float* out, Py_ssize_t ld
) noexcept nogil:
    """`Panels.product`: a panel stays in cache while the rows pass."""
    cdef Py_ssize_t p = 0, r, tiles, size_of_tile, K = panels.K, size = panels.K * WIDTH
    cdef const float* data = <const float*>panels.data
    if rows == 1:
        row_product(panels, x, out)
        return
    if rows == 2:
        while p + 2 <= panels.count:
            tile(2, 2, x, data + p * size, panels.bias + p * WIDTH, K, out + p * WIDTH, ld)
            p += 2
    while p < panels.count:
        # tiles of nearly the same number of rows: 9 rows are 5 and 4, not 8 and 1, because a tile of a single row
        # leaves the processor idle for much of the time (see row_product)
        tiles = (rows + ROWS - 1) // ROWS
        r = 0
        while tiles > 0:
            size_of_tile = (rows - r + tiles - 1) // tiles
            tile_of(size_of_tile, x + r, data + p * size, panels.bias + p * WIDTH, K,
                    out + r * ld + p * WIDTH, ld)
            r += size_of_tile
            tiles -= 1
        p += 1


cdef inline void product_pair_float32(
    const Panels* W, const float* const* x, float* gi, const Panels* U, const float* const* h, float* gh
) noexcept nogil:
    """`Panels.product_pair`: small matrices together, others one after the other."""
    if W.count == 1 and U.count == 1:
        tile_pair(1, W, x[0], gi, U, h[0], gh)
    elif W.count == 2 and U.count == 2:
        tile_pair(2, W, x[0], gi, U, h[0], gh)
    else:
        W.product(W, 1, x, gi, 0)
        U.product(U, 1, h, gh, 0)


cdef inline Panels panels_float32(cnp.ndarray data, cnp.ndarray bias):
    """Of weights (count, K, WIDTH) and biases (count, WIDTH), which the caller keeps alive."""
    cdef Panels panels
    panels.count, panels.K = data.shape[0], data.shape[1]
    panels.data, panels.bias = cnp.PyArray_DATA(data), <const float*>cnp.PyArray_DATA(bias)
    panels.product, panels.product_pair = product_float32, product_pair_float32
    return panels
