"""Products with a matrix as it stands, a W for many rows a, in float32: W packed into panels of its columns.

The tiles are the forward pass's (_tile.pxd), whose panels hold a transposed matrix. Here that matrix is W^T: a line of
a panel is a piece of a row of W, and to pack is to copy. An output is one chain of fused multiply-adds, k ascending, so
a row's bits depend on that row alone.
"""

from cgru.engines._blocks cimport padded
from cgru.engines._panels cimport FLOAT32, Panels
from cgru.engines._target cimport LANES, ROWS, WIDTH
from cgru.engines._tile cimport tile_float
from libc.string cimport memcpy, memset


cdef inline Py_ssize_t panels_size(Py_ssize_t K, Py_ssize_t columns) noexcept nogil:
    """Numbers of memory that `empty_panels` wants, a multiple of a cache line."""
    return ((K + 1) * padded(columns) + 15) // 16 * 16


cdef inline Panels empty_panels(float* memory, Py_ssize_t K, Py_ssize_t columns) noexcept nogil:
    """Panels of a matrix (K, columns), to be filled; `memory` begins with a cache line."""
    cdef Panels panels
    cdef Py_ssize_t width = padded(columns)
    memset(&panels, 0, sizeof(Panels))
    memset(memory + K * width, 0, width * sizeof(float))
    panels.K, panels.depth, panels.columns = K, K, width
    panels.full, panels.extra = width // WIDTH, width % WIDTH // LANES
    panels.data, panels.bias = memory, memory + K * width
    return panels


cdef inline void fill_panels(
    const Panels* panels, Py_ssize_t k, Py_ssize_t rows, const float* W, Py_ssize_t columns
) noexcept nogil:
    """Rows k, k + 1, ... of the matrix from W (rows, columns)."""
    cdef Py_ssize_t p = 0, width, count, d
    cdef float* line
    while p < panels.columns:
        width = min(WIDTH, panels.columns - p)
        count = min(width, columns - p)
        line = <float*>panels.data + p * panels.depth + k * width
        for d in range(rows):
            memcpy(line, W + d * columns + p, count * sizeof(float))
            memset(line + count, 0, (width - count) * sizeof(float))
            line += width
        p += width


cdef inline void times_panels(
    const Panels* panels, Py_ssize_t rows, const float* a, Py_ssize_t lda,   # IN (rows, K)
    float* out, Py_ssize_t ldo,            # OUT (rows, padded(columns))
) noexcept nogil:
    """out = a W."""
    cdef Py_ssize_t p
    for p in range(panels.full):
        times_panel(1, 0, panels, p, rows, a, lda, out, ldo)
    if panels.extra == 1:
        times_panel(0, 1, panels, panels.full, rows, a, lda, out, ldo)
    elif panels.extra == 2:
        times_panel(0, 2, panels, panels.full, rows, a, lda, out, ldo)


cdef inline void times_panel(
    Py_ssize_t panels, Py_ssize_t extra,                             # compile-time constants: a panel, or a narrow one
    const Panels* matrix, Py_ssize_t p, Py_ssize_t rows, const float* a, Py_ssize_t lda, float* out, Py_ssize_t ldo,
) noexcept nogil:
    """Panel number p, in tiles of 8, 4, 2 and 1 rows: other numbers would be more code, and batches are seldom odd."""
    cdef const float* x[8]
    cdef Py_ssize_t r = 0, n, i
    out += p * WIDTH
    while r < rows:
        n = rows - r
        n = ROWS if n >= ROWS else 4 if n >= 4 else 2 if n >= 2 else 1
        for i in range(n):
            x[i] = a + (r + i) * lda
        if n == ROWS:
            tile_float(FLOAT32, ROWS, panels, extra, matrix, p, &x[0], out + r * ldo, ldo)
        elif ROWS > 4 and n == 4:
            tile_float(FLOAT32, 4, panels, extra, matrix, p, &x[0], out + r * ldo, ldo)
        elif n == 2:
            tile_float(FLOAT32, 2, panels, extra, matrix, p, &x[0], out + r * ldo, ldo)
        else:
            tile_float(FLOAT32, 1, panels, extra, matrix, p, &x[0], out + r * ldo, ldo)
        r += n
