"""A Linear's backward pass over many rows (_linear.pxd has the equations)."""

from cgru.engines._activations cimport Activation
from cgru.engines._adjoints cimport BLOCK
from cgru.engines._blas cimport product_nn, product_tn
from cgru.engines._functions cimport CONSTANTS, load_constants
from cgru.engines._interrupt cimport INTERRUPTED, NO_MEMORY, Watch, interrupted
from cgru.engines._linear cimport linear_adjoint_row
from cython cimport floating
from libc.stdlib cimport free, malloc
from libc.string cimport memset


cdef inline int linear_back(
    const Activation* act, Py_ssize_t M, Py_ssize_t K, Py_ssize_t G, const floating* W, const floating* x,
    const floating* a, const floating* y, const floating* dy, floating* dx, floating* dW, floating* db,
) noexcept nogil:
    """A Linear's equations, a block of rows at a time: 0, NO_MEMORY or INTERRUPTED."""
    cdef Py_ssize_t block = min(M, max(256, BLOCK // G)), first = 0, rows, i
    cdef floating k[CONSTANTS]
    cdef floating* da = <floating*>malloc(block * G * sizeof(floating))
    cdef Watch watch = Watch(due=0)
    if da == NULL:
        return NO_MEMORY
    load_constants(&k[0])
    memset(db, 0, G * sizeof(floating))
    while first < M:
        rows = min(block, M - first)
        for i in range(rows):
            linear_adjoint_row(
                act, a + (first + i) * G, y + (first + i) * G, dy + (first + i) * G, da + i * G, G, &k[0]
            )
        # dW[G,K] += da[rows,G]^T x[rows,K]
        product_tn(G, K, rows, da, G, x + first * K, K, <floating>(1.0 if first else 0.0), dW, K)
        add_columns(rows, G, <const floating*>da, G, db)
        if dx != NULL:
            # dx[rows,K] = da[rows,G] W
            product_nn(rows, K, G, da, G, W, K, <floating>0.0, dx + first * K, K)
        first += rows
        if interrupted(&watch):
            free(da)
            return INTERRUPTED
    free(da)
    return 0


cdef inline void add_columns(
    Py_ssize_t rows, Py_ssize_t columns, const floating* a, Py_ssize_t lda, floating* sums
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(columns):
            sums[j] += a[i * lda + j]
