"""The backward pass's products, spelled once for both dtypes: float32's in panels and tiles, float64's by SciPy's BLAS.

    a W        times      for many rows a; float32: through panels of W (_transposed.pxd)
    A^T B      add_sums   over many rows, which come in blocks; float32: in tiles (_outer.pxd)

float32's are calls, since they are long and wanted in several places.
"""

from cgru.engines._blas cimport product_nn, product_tn
from cgru.engines._outer cimport DEPTH, part_begin
from cgru.engines._panels cimport Panels
from cgru.engines._target cimport ROWS, WIDTH
from cython cimport floating
from libc.string cimport memcpy, memset

cdef enum:
    BLOCK = 1 << 19                     # numbers of da that go through float64's products while they are in cache
    PIECE = 64                          # rows that go to where they are wanted through scratch memory


cdef struct Products:
    Panels U, U_n, W                    # with reset_after=False U is without U_n; W's rows are in the order of da
    void (*times)(
        const Panels* panels, Py_ssize_t rows, const float* a, Py_ssize_t lda, float* out, Py_ssize_t ldo
    ) noexcept nogil
    void (*outer)(
        Py_ssize_t M, Py_ssize_t N, Py_ssize_t rows, const float* A, Py_ssize_t lda, const float* B, Py_ssize_t ldb,
        bint first, float* C, Py_ssize_t ldc, float* scratch
    ) noexcept nogil


cdef inline Py_ssize_t block_rows(Py_ssize_t width, floating* kind) noexcept nogil:
    """How many rows of da make a block."""
    if floating is float:
        return DEPTH
    else:
        return max(256, BLOCK // width)


cdef inline Py_ssize_t sums_scratch(Py_ssize_t width) noexcept nogil:
    """Numbers of scratch memory for `add_sums` and `add_columns`."""
    return max(<Py_ssize_t>DEPTH * (ROWS + WIDTH), width)


cdef inline void add_sums(
    const Products* products, Py_ssize_t M, Py_ssize_t N, Py_ssize_t rows, Py_ssize_t part, Py_ssize_t parts,
    const floating* A, Py_ssize_t lda,     # IN (rows, M): a block, or less
    const floating* B, Py_ssize_t ldb,     # IN (rows, N)
    bint first, floating* C,               # IN/OUT (M, N); `first`: OUT
    floating* scratch,
) noexcept nogil:
    """C += A^T B: one part of the rows of C."""
    cdef Py_ssize_t begin = part_begin(M, part, parts), end = part_begin(M, part + 1, parts)
    if begin == end:
        return
    if floating is float:
        products.outer(end - begin, N, rows, A + begin, lda, B, ldb, first, C + begin * N, N, scratch)
    else:
        product_tn(end - begin, N, rows, A + begin, lda, B, ldb, <floating>(0.0 if first else 1.0), C + begin * N, N)


cdef inline void add_columns(
    Py_ssize_t rows, Py_ssize_t columns, const floating* a, Py_ssize_t lda, bint first, floating* sums,
    floating* scratch,
) noexcept nogil:
    """sums[j] += the sum of column j of a (rows, columns), a block."""
    cdef Py_ssize_t i, j
    memset(scratch, 0, columns * sizeof(floating))
    for i in range(rows):
        for j in range(columns):
            scratch[j] += a[i * lda + j]
    for j in range(columns):
        sums[j] = scratch[j] if first else sums[j] + scratch[j]


cdef inline Py_ssize_t moved_scratch(const Panels* panels) noexcept nogil:
    """Numbers of scratch memory for `times_and_move`."""
    return PIECE * panels.columns


cdef inline void times_and_move(
    const Products* products, const Panels* panels, Py_ssize_t rows, const float* a, Py_ssize_t lda,
    bint add, float* out, Py_ssize_t columns,                        # OUT (rows, columns), without gaps
    float* scratch,
) noexcept nogil:
    """out = a W, or out += a W."""
    cdef Py_ssize_t r = 0, n, i, j, ld = panels.columns
    if not add and columns == ld:
        products.times(panels, rows, a, lda, out, columns)
        return
    while r < rows:
        n = min(PIECE, rows - r)
        products.times(panels, n, a + r * lda, lda, scratch, ld)
        for i in range(n):
            if add:
                for j in range(columns):
                    out[j] += scratch[i * ld + j]
            else:
                memcpy(out, scratch + i * ld, columns * sizeof(float))
            out += columns
        r += n
