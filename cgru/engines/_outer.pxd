"""Sums over many rows, C = A^T B, in float32: what the gradients of matrices are.

ROWS columns of A by up to three vectors of B's columns are accumulated in registers, over DEPTH rows; then a block's
sums are added to C. So an output is a sum of blocks in the order of the rows, and a block's is one chain of fused
multiply-adds in that order: its bits are the same in whatever part of C it is computed. Columns of A are read up to a
multiple of ROWS, so that many numbers must stand behind its last row.
"""

from cgru.engines._blocks cimport padded
from cgru.engines._target cimport LANES, ROWS, WIDTH, fmaf
from cgru.engines._tile cimport set_sums, store_sums
from libc.string cimport memcpy, memset

cdef enum:
    DEPTH = 256                         # rows of a block: its piece of B stays in L2 beside that of A
    NARROW = 64                         # columns of B for which a copy of A's does not pay


cdef inline Py_ssize_t part_begin(Py_ssize_t M, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
    """Where part number `part` of M columns of A begins: they are shared out in tiles."""
    return min(M, (M + ROWS - 1) // ROWS * part // parts * ROWS)


cdef inline void add_outer(
    Py_ssize_t M, Py_ssize_t N, Py_ssize_t rows,                     # at most DEPTH rows
    const float* A, Py_ssize_t lda,        # IN (rows, M)
    const float* B, Py_ssize_t ldb,        # IN (rows, N)
    bint first,                            # whether C is set, and not added to
    float* C, Py_ssize_t ldc,              # IN/OUT (M, N)
    float* scratch,                        # DEPTH * (ROWS + WIDTH)
) noexcept nogil:
    """C += A^T B, of one block.

    A's rows lie far apart, often by a power of two, for which L1 has few places: so a tile's columns are copied, where
    there are enough tiles beside each other to pay for it.
    """
    cdef float* tail = scratch + DEPTH * ROWS
    cdef Py_ssize_t i = 0, j, d, columns, width, la, ld, last = N // WIDTH * WIDTH, end = padded(N - last)
    cdef const float* a
    cdef const float* b
    if last + end > N:                     # the last columns of B, whose memory may end with them
        for d in range(rows):
            memcpy(tail + d * end, B + d * ldb + last, (N - last) * sizeof(float))
            memset(tail + d * end + N - last, 0, (last + end - N) * sizeof(float))
    while i < M:
        a, la, j = A + i, lda, 0
        if N > NARROW:
            for d in range(rows):
                memcpy(scratch + d * ROWS, a + d * lda, ROWS * sizeof(float))
            a, la = scratch, ROWS
        while j < N:
            columns = min(WIDTH, N - j)
            width = padded(columns)
            b, ld = B + j, ldb
            if columns < width:
                b, ld = tail, end
            if width == WIDTH:
                tile_outer(1, 0, rows, a, la, b, ld, first, C + i * ldc + j, ldc, min(ROWS, M - i), columns)
            elif width == LANES:
                tile_outer(0, 1, rows, a, la, b, ld, first, C + i * ldc + j, ldc, min(ROWS, M - i), columns)
            else:
                tile_outer(0, 2, rows, a, la, b, ld, first, C + i * ldc + j, ldc, min(ROWS, M - i), columns)
            j += WIDTH
        i += ROWS


cdef inline void tile_outer(
    Py_ssize_t panels, Py_ssize_t extra,                             # compile-time constants: the tile's width
    Py_ssize_t rows, const float* a, Py_ssize_t lda, const float* b, Py_ssize_t ldb,
    bint first, float* c, Py_ssize_t ldc, Py_ssize_t count, Py_ssize_t columns,
) noexcept nogil:
    """ROWS columns of A by a tile's width of B's; `count` of them by `columns` go to C."""
    cdef float acc[8 * WIDTH]
    cdef float sums[8 * WIDTH]
    cdef float zeros[WIDTH]
    cdef Py_ssize_t width = panels * WIDTH + extra * LANES, d, r, j
    memset(&zeros[0], 0, sizeof(zeros))
    set_sums(0, ROWS, panels, extra, &zeros[0], &acc[0])
    set_sums(1, ROWS, panels, extra, &zeros[0], &acc[0])
    set_sums(2, ROWS, panels, extra, &zeros[0], &acc[0])
    set_sums(3, ROWS, panels, extra, &zeros[0], &acc[0])
    set_sums(4, ROWS, panels, extra, &zeros[0], &acc[0])
    set_sums(5, ROWS, panels, extra, &zeros[0], &acc[0])
    set_sums(6, ROWS, panels, extra, &zeros[0], &acc[0])
    set_sums(7, ROWS, panels, extra, &zeros[0], &acc[0])
    for d in range(rows):
        for r in range(ROWS):
            for j in range(width):
                acc[r * width + j] = fmaf(a[d * lda + r], b[d * ldb + j], acc[r * width + j])
    store_sums(0, ROWS, panels, extra, &acc[0], &sums[0], width)
    store_sums(1, ROWS, panels, extra, &acc[0], &sums[0], width)
    store_sums(2, ROWS, panels, extra, &acc[0], &sums[0], width)
    store_sums(3, ROWS, panels, extra, &acc[0], &sums[0], width)
    store_sums(4, ROWS, panels, extra, &acc[0], &sums[0], width)
    store_sums(5, ROWS, panels, extra, &acc[0], &sums[0], width)
    store_sums(6, ROWS, panels, extra, &acc[0], &sums[0], width)
    store_sums(7, ROWS, panels, extra, &acc[0], &sums[0], width)
    for r in range(count):
        for j in range(columns):
            c[r * ldc + j] = sums[r * width + j] if first else c[r * ldc + j] + sums[r * width + j]
