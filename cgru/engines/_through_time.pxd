"""The backward pass through the steps, last first: da, dh and dx of some rows of a batch.

Rows know nothing of each other here, and float32's have the same bits in whatever company.
"""

from cgru.engines._adjoints cimport Pass, gates_adjoint_row, reset_adjoint_row
from cgru.engines._backward_products cimport PIECE, moved_scratch, times_and_move
from cgru.engines._blas cimport product_nn
from cgru.engines._blocks cimport padded
from cgru.engines._cells cimport GRU
from cgru.engines._interrupt cimport INTERRUPTED, NO_MEMORY, Watch, interrupted
from cython cimport floating
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef enum:
    STEPS = 1 << 16                     # numbers of da between questions whether to stop


cdef inline int rows_back(const Pass* p, Py_ssize_t begin, Py_ssize_t end, floating* kind) noexcept nogil:
    """All steps of the rows begin..end: 0, NO_MEMORY or INTERRUPTED.

    Scratch: what comes of a product (rows, H), and what of dx is on its way.
    """
    cdef Py_ssize_t rows = end - begin, s, t, since = 0
    cdef Py_ssize_t steps = max(1, STEPS // (rows * p.width)), chunk = max(1, PIECE // rows)
    cdef Py_ssize_t size = rows * padded(p.H)
    cdef Watch watch = Watch(due=0)
    if floating is float and p.dx != NULL:
        size += moved_scratch(&p.products.W)
    cdef floating* scratch = <floating*>malloc(size * sizeof(floating))
    if scratch == NULL:
        return NO_MEMORY
    for s in range(p.T):
        t = s if p.reverse else p.T - 1 - s
        step_back(p, t, begin, end, scratch)
        since += 1
        if p.dx != NULL and (since == chunk or s == p.T - 1):
            input_gradients(p, t - since + 1 if p.reverse else t, since, begin, end, scratch + rows * padded(p.H))
            since = 0
        if s % steps == steps - 1 and interrupted(&watch):
            free(scratch)
            return INTERRUPTED
    free(scratch)
    return 0


cdef inline Py_ssize_t rows_at(const Pass* p, Py_ssize_t t, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """The end of those of the rows begin..end that run at time t; they are the first ones."""
    if p.lengths != NULL:
        while end > begin and p.lengths[end - 1] <= t:
            end -= 1
    return end


cdef inline void step_back(
    const Pass* p, Py_ssize_t t, Py_ssize_t begin, Py_ssize_t end, floating* scratch
) noexcept nogil:
    """The cell's lines and A, for the step at time t: da, dh, for an LSTM dc."""
    cdef Py_ssize_t H = p.H, width = p.width, active = rows_at(p, t, begin, end), rows = active - begin, i, j
    cdef Py_ssize_t ld = padded(H) if floating is float else H
    cdef floating* da = <floating*>p.da + t * p.N * width
    cdef floating* dh = <floating*>p.dh
    cdef const floating* U = <const floating*>p.U
    memset(da + active * width, 0, (end - active) * width * sizeof(floating))
    if rows == 0:
        return
    for i in range(begin, active):
        gates_adjoint_row(p, t, i, da + i * width)
    da += begin * width
    if p.kind == GRU and not p.reset_after:
        # dq[rows,H] = da_n[rows,H] U_n
        if floating is float:
            p.products.times(&p.products.U_n, rows, da, width, scratch, ld)
        else:
            product_nn(rows, H, H, da, width, U + 2 * H * H, H, <floating>0.0, scratch, ld)
        for i in range(rows):
            reset_adjoint_row(p, t, begin + i, <const floating*>scratch + i * ld, da + i * width + H)
    # dh[rows,H] += da_h[rows,G_h] U
    dh += begin * H
    if floating is float:
        p.products.times(&p.products.U, rows, da + p.first, width, scratch, ld)
        for i in range(rows):
            for j in range(H):
                dh[i * H + j] += scratch[i * ld + j]
    else:
        product_nn(rows, H, p.G_h, da + p.first, width, U, H, <floating>1.0, dh, H)


cdef inline void input_gradients(
    const Pass* p, Py_ssize_t t, Py_ssize_t steps, Py_ssize_t begin, Py_ssize_t end, floating* scratch
) noexcept nogil:
    """Line D for the steps from time t on: at once where all rows are here."""
    cdef Py_ssize_t K = p.K, H = p.H, width = p.width, rows = end - begin, first = t * p.N + begin
    cdef const floating* W = <const floating*>p.W
    cdef const floating* da
    cdef floating* dx
    if rows == p.N:
        rows, steps = rows * steps, 1
    while steps > 0:
        da, dx = <const floating*>p.da + first * width, <floating*>p.dx + first * K
        if floating is float:
            # dx[rows,K] = da_i[rows,G_i] W, with da_n in front of a GRU's
            times_and_move(&p.products, &p.products.W, rows, da, width, p.add_dx, dx, K, scratch)
        else:
            # dx[rows,K] = da_i[rows,G_i] W, for a GRU + da_n[rows,H] W_n
            product_nn(rows, K, p.G_i, da + p.first, width, W, K, <floating>(1.0 if p.add_dx else 0.0), dx, K)
            if p.kind == GRU:
                product_nn(rows, K, H, da, width, W + 2 * H * K, K, <floating>1.0, dx, K)
        first += p.N
        steps -= 1
