"""A Linear's backward pass (_linear.pxd has the equations): of some rows, and of a part of the outputs."""

from cgru.engines._activations cimport LINEAR, Activation
from cgru.engines._backward_products cimport (
    Products, add_columns, add_sums, block_rows, moved_scratch, sums_scratch, times_and_move,
)
from cgru.engines._blas cimport product_nn
from cgru.engines._interrupt cimport INTERRUPTED, NO_MEMORY, Watch, interrupted
from cgru.engines._linear cimport linear_adjoint_row
from cgru.engines._outer cimport part_begin
from cgru.engines._slopes cimport Slopes
from cgru.engines._target cimport ROWS
from cython cimport floating
from libc.stdlib cimport free, malloc


cdef struct LinearPass:
    Activation act
    Slopes slopes
    Py_ssize_t M, K, G                  # rows, features in, outputs
    Products products
    const void* W                       # (G, K)
    const void* x                       # (M, K)
    const void* a                       # (M, G), before the activation
    const void* y                       # (M, G)
    const void* dy                      # (M, G)
    void* da                            # (M, G), and ROWS numbers behind it; or dy
    void* dx                            # (M, K), or NULL
    void* dW
    void* db


cdef inline bint needs_da(const Activation* act, Py_ssize_t G) noexcept nogil:
    """Whether da is not dy itself, behind which no numbers stand."""
    return act.code != LINEAR or act.alpha != 1 or G % ROWS != 0


cdef inline int linear_rows_back(
    const LinearPass* p, Py_ssize_t begin, Py_ssize_t end, floating* kind
) noexcept nogil:
    """da and dx of the rows begin..end: 0, NO_MEMORY or INTERRUPTED."""
    cdef Py_ssize_t K = p.K, G = p.G, block = block_rows(G, kind), rows, i
    cdef floating* da = <floating*>p.da
    cdef floating* scratch = NULL
    cdef Watch watch = Watch(due=0)
    if floating is float and p.dx != NULL:
        scratch = <floating*>malloc(moved_scratch(&p.products.W) * sizeof(floating))
        if scratch == NULL:
            return NO_MEMORY
    while begin < end:
        rows = min(block, end - begin)
        if p.da != p.dy:
            for i in range(begin, begin + rows):
                linear_adjoint_row(
                    &p.act, &p.slopes, <const floating*>p.a + i * G, <const floating*>p.y + i * G,
                    <const floating*>p.dy + i * G, da + i * G, G,
                )
        if p.dx != NULL:
            # dx[rows,K] = da[rows,G] W
            if floating is float:
                times_and_move(
                    &p.products, &p.products.W, rows, da + begin * G, G, False, <floating*>p.dx + begin * K, K, scratch
                )
            else:
                product_nn(
                    rows, K, G, da + begin * G, G, <const floating*>p.W, K, <floating>0.0,
                    <floating*>p.dx + begin * K, K,
                )
        begin += rows
        if interrupted(&watch):
            free(scratch)
            return INTERRUPTED
    free(scratch)
    return 0


cdef inline int linear_parameters(
    const LinearPass* p, Py_ssize_t part, Py_ssize_t parts, floating* kind
) noexcept nogil:
    """A part of dW and db: 0, NO_MEMORY or INTERRUPTED."""
    cdef Py_ssize_t K = p.K, G = p.G, block = block_rows(G, kind), first = 0, rows
    cdef Py_ssize_t begin = part_begin(G, part, parts), end = part_begin(G, part + 1, parts)
    cdef floating* scratch = <floating*>malloc(sums_scratch(G) * sizeof(floating))
    cdef const floating* da
    cdef Watch watch = Watch(due=0)
    if scratch == NULL:
        return NO_MEMORY
    while first < p.M:
        rows, da = min(block, p.M - first), <const floating*>p.da + first * G
        # dW[G,K] (+)= da[rows,G]^T x[rows,K]
        add_sums(
            &p.products, G, K, rows, part, parts, da, G, <const floating*>p.x + first * K, K, first == 0,
            <floating*>p.dW, scratch,
        )
        add_columns(rows, end - begin, da + begin, G, first == 0, <floating*>p.db + begin, scratch)
        first += rows
        if interrupted(&watch):
            free(scratch)
            return INTERRUPTED
    free(scratch)
    return 0
