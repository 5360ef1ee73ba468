"""Products of panels: how rows of x and panels of weights become tiles, for every type of weights.

A tile of up to ROWS rows of x by one panel is accumulated in registers; of few rows, by several panels.
"""

from cgru.engines._panels cimport FLOAT32, INT8, Panels
from cgru.engines._target cimport ONLY_INT8, ROWS, WIDTH
from cgru.engines._tile cimport tile_float, tile_pair
from cgru.engines._tile_int8 cimport tile_int8


cdef inline void tile(
    int type, Py_ssize_t rows, Py_ssize_t panels, Py_ssize_t extra,  # compile-time constants
    const Panels* matrix, Py_ssize_t p, const float* const* x,       # IN rows pointers to K floats, or quantised rows
    float* out, Py_ssize_t ld,             # OUT (rows, columns), rows ld apart
) noexcept nogil:
    """Some panels from number p on, and `extra` vectors of the narrow panel that follows, by some rows."""
    if type == INT8:
        tile_int8(
            rows, panels, extra, <const char* const*>x, <const char*>matrix.data + p * matrix.depth * WIDTH * 4,
            matrix.depth, matrix.bias + p * WIDTH, matrix.scale + p * WIDTH, matrix.start + p * WIDTH,
            out + p * WIDTH, ld,
        )
    elif not ONLY_INT8:
        tile_float(type, rows, panels, extra, matrix, p, x, out + p * WIDTH, ld)


cdef inline Py_ssize_t most_rows(int type) noexcept nogil:
    """Of a tile of one panel. Of 16 registers, expanded weights take those of a row of sums."""
    return 3 if type != FLOAT32 and ROWS == 4 else ROWS


cdef inline void tile_of(
    int type, Py_ssize_t panels, Py_ssize_t extra,                   # compile-time constants
    Py_ssize_t rows, const Panels* matrix, Py_ssize_t p, const float* const* x, float* out, Py_ssize_t ld,
) noexcept nogil:
    """One panel, or a narrow one, by 1 to most_rows(type) rows."""
    if rows == 1:
        tile(type, 1, panels, extra, matrix, p, x, out, ld)
    elif rows == 2:
        tile(type, 2, panels, extra, matrix, p, x, out, ld)
    elif rows == 3 or most_rows(type) == 3:
        tile(type, 3, panels, extra, matrix, p, x, out, ld)
    elif rows == 4 or most_rows(type) == 4:
        tile(type, 4, panels, extra, matrix, p, x, out, ld)
    elif rows == 5:
        tile(type, 5, panels, extra, matrix, p, x, out, ld)
    elif rows == 6:
        tile(type, 6, panels, extra, matrix, p, x, out, ld)
    elif rows == 7:
        tile(type, 7, panels, extra, matrix, p, x, out, ld)
    else:
        tile(type, 8, panels, extra, matrix, p, x, out, ld)


cdef inline void all_rows(
    int type, Py_ssize_t panels, Py_ssize_t extra,                   # compile-time constants: a panel, or a narrow one
    Py_ssize_t rows, const Panels* matrix, Py_ssize_t p, const float* const* x, float* out, Py_ssize_t ld,
) noexcept nogil:
    """A panel by all rows, in tiles of nearly the same number of rows.

    9 rows are 5 and 4, not 8 and 1, because a tile of a single row leaves the processor idle for much of the time (see
    few_rows).
    """
    cdef Py_ssize_t r = 0, tiles = (rows + most_rows(type) - 1) // most_rows(type), size_of_tile
    while tiles > 0:
        size_of_tile = (rows - r + tiles - 1) // tiles
        tile_of(type, panels, extra, size_of_tile, matrix, p, x + r, out + r * ld, ld)
        r += size_of_tile
        tiles -= 1


cdef inline Py_ssize_t few_rows(
    int type, Py_ssize_t rows, Py_ssize_t together,                  # compile-time constants; rows * together <= ROWS
    const Panels* matrix, Py_ssize_t end, const float* const* x, float* out, Py_ssize_t ld,
) noexcept nogil:
    """Rows that are too few for a tile: panels up to number `end`, `together` at a time; the panel where that ends.

    A panel has three vectors of sums for a row, and each addition waits for the one before it in the same vector.
    With more vectors the processor has other work meanwhile.
    """
    cdef Py_ssize_t p = 0
    while p + together <= end:
        tile(type, rows, together, 0, matrix, p, x, out, ld)
        p += together
    return p


cdef inline void row_end(
    int type, Py_ssize_t extra,                                      # compile-time constants
    const Panels* matrix, Py_ssize_t p, const float* const* x, float* out,
) noexcept nogil:
    """The last panels of a single row, up to four, and the narrow one together."""
    cdef Py_ssize_t left = matrix.full - p
    if left == 4:
        tile(type, 1, 4, extra, matrix, p, x, out, 0)
    elif left == 3:
        tile(type, 1, 3, extra, matrix, p, x, out, 0)
    elif left == 2:
        tile(type, 1, 2, extra, matrix, p, x, out, 0)
    elif left == 1:
        tile(type, 1, 1, extra, matrix, p, x, out, 0)
    elif extra:
        tile(type, 1, 0, extra, matrix, p, x, out, 0)


cdef inline void row_product(int type, const Panels* matrix, const float* const* x, float* out) noexcept nogil:
    """A single row: four panels at a time, and the last ones so that none is alone: 5 are 3 and 2."""
    cdef Py_ssize_t p = few_rows(type, 1, 4, matrix, matrix.full - 2, x, out, 0)
    if matrix.full - p == 5:
        tile(type, 1, 3, 0, matrix, p, x, out, 0)
        p += 3
    if matrix.extra == 0:
        row_end(type, 0, matrix, p, x, out)
    elif matrix.extra == 1:
        row_end(type, 1, matrix, p, x, out)
    else:
        row_end(type, 2, matrix, p, x, out)


cdef inline void product(
    int type, const Panels* matrix, Py_ssize_t rows, const float* const* x, float* out, Py_ssize_t ld
) noexcept nogil:
    """`Panels.product` of a type: a panel stays in cache while the rows pass."""
    cdef Py_ssize_t p = 0, full = matrix.full
    if rows == 1:
        row_product(type, matrix, x, out)
        return
    if rows == 2 and 2 * 2 <= most_rows(type):
        p = few_rows(type, 2, 2, matrix, full, x, out, ld)
    elif rows == 3 and ROWS == 8:
        p = few_rows(type, 3, 2, matrix, full, x, out, ld)
    elif rows == 4 and ROWS == 8:
        p = few_rows(type, 4, 2, matrix, full, x, out, ld)
    while p < full:
        all_rows(type, 1, 0, rows, matrix, p, x, out, ld)
        p += 1
    if matrix.extra == 1:
        all_rows(type, 0, 1, rows, matrix, p, x, out, ld)
    elif matrix.extra == 2:
        all_rows(type, 0, 2, rows, matrix, p, x, out, ld)


cdef inline void product_pair(
    int type, const Panels* W, const float* const* x, float* gi, const Panels* U, const float* const* h, float* gh
) noexcept nogil:
    """`Panels.product_pair` of float32 and bfloat16: small matrices together, others one after the other."""
    cdef Py_ssize_t vectors = 3 * W.full + W.extra
    if vectors != 3 * U.full + U.extra:
        vectors = 0
    if vectors == 1:
        tile_pair(type, 0, 1, W, x, gi, U, h, gh)
    elif vectors == 2:
        tile_pair(type, 0, 2, W, x, gi, U, h, gh)
    elif vectors == 3:
        tile_pair(type, 1, 0, W, x, gi, U, h, gh)
    elif vectors == 4:
        tile_pair(type, 1, 1, W, x, gi, U, h, gh)
    elif vectors == 5:
        tile_pair(type, 1, 2, W, x, gi, U, h, gh)
    elif vectors == 6:
        tile_pair(type, 2, 0, W, x, gi, U, h, gh)
    elif vectors == 8 and ROWS == 8:
        tile_pair(type, 2, 2, W, x, gi, U, h, gh)
    elif vectors == 9 and ROWS == 8:
        tile_pair(type, 3, 0, W, x, gi, U, h, gh)
    else:
        W.product(W, 1, x, gi, 0, NULL)
        U.product(U, 1, h, gh, 0, NULL)
