"""The gradients of a direction's weights and biases, once da is there: sums over all rows of all steps.

They are shared out by their own rows, the gates: so every number is one sum in one order, in whatever number of parts.
"""

from cgru.engines._adjoints cimport Pass
from cgru.engines._backward_products cimport add_columns, add_sums, block_rows, sums_scratch
from cgru.engines._cells cimport GRU
from cgru.engines._interrupt cimport INTERRUPTED, NO_MEMORY, Watch, interrupted
from cgru.engines._outer cimport part_begin
from cgru.engines._target cimport ROWS
from cython cimport floating
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef inline int parameter_gradients(const Pass* p, Py_ssize_t part, Py_ssize_t parts, floating* kind) noexcept nogil:
    """Lines B and C of a part of the gates: 0, NO_MEMORY or INTERRUPTED."""
    cdef Py_ssize_t total = p.T * p.N, first = 0, rows, block = block_rows(p.width, kind)
    cdef Py_ssize_t starts = min(p.N, block) * p.width + ROWS
    cdef floating* scratch = <floating*>malloc((sums_scratch(p.width) + starts) * sizeof(floating))
    cdef Watch watch = Watch(due=0)
    if scratch == NULL:
        return NO_MEMORY
    while first < p.N:
        rows = min(block, p.N - first)
        initial_gradients(p, part, parts, first, rows, scratch + sums_scratch(p.width), scratch)
        first += rows
        if interrupted(&watch):
            free(scratch)
            return INTERRUPTED
    first = 0
    while first < total:
        rows = min(block, total - first)
        block_gradients(p, part, parts, first, rows, scratch)
        first += rows
        if interrupted(&watch):
            free(scratch)
            return INTERRUPTED
    free(scratch)
    bias_gradients(p, part, parts, <floating*>p.db, <floating*>p.dc)
    return 0


cdef inline void initial_gradients(
    const Pass* p, Py_ssize_t part, Py_ssize_t parts, Py_ssize_t first, Py_ssize_t rows, floating* starts,
    floating* scratch,
) noexcept nogil:
    """Of line C the steps whose h is h_0, each row's first one; the rest of it is added to what is here."""
    cdef Py_ssize_t width = p.width, H = p.H, i, length, t
    cdef const floating* da = <const floating*>p.da
    for i in range(rows):
        length = p.T if p.lengths == NULL else p.lengths[first + i]
        t = length - 1 if p.reverse and length > 0 else 0       # da is zero where length is
        memcpy(starts + i * width, da + (t * p.N + first + i) * width, width * sizeof(floating))
    # dU[G_h,H] (+)= da_h[rows,G_h]^T h_0[rows,H]
    add_sums(
        &p.products, p.G_h, H, rows, part, parts, <const floating*>starts + p.first, width,
        <const floating*>p.h_0 + first * H, H, first == 0, <floating*>p.dU, scratch,
    )


cdef inline void block_gradients(
    const Pass* p, Py_ssize_t part, Py_ssize_t parts, Py_ssize_t first, Py_ssize_t rows, floating* scratch
) noexcept nogil:
    """Lines B and C of some rows of (T * N): the first ones set dW, the others add to it."""
    cdef Py_ssize_t H = p.H, K = p.K, width = p.width
    cdef Py_ssize_t begin = part_begin(p.G_h, part, parts), end = part_begin(p.G_h, part + 1, parts)
    cdef const floating* x = <const floating*>p.x + first * K
    cdef const floating* da = <const floating*>p.da + first * width
    cdef floating* dW = <floating*>p.dW
    recurrent_gradients(p, part, parts, first, rows, scratch)
    # dW[G_i,K] (+)= da_i[rows,G_i]^T x[rows,K]
    add_sums(&p.products, p.G_i, K, rows, part, parts, da + p.first, width, x, K, first == 0, dW, scratch)
    add_columns(rows, end - begin, da + p.first + begin, width, first == 0, <floating*>p.dc + begin, scratch)
    if p.kind != GRU:
        return
    # dW_n[H,K] (+)= da_n[rows,H]^T x[rows,K]
    add_sums(&p.products, H, K, rows, part, parts, da, width, x, K, first == 0, dW + 2 * H * K, scratch)
    begin, end = part_begin(H, part, parts), part_begin(H, part + 1, parts)
    add_columns(rows, end - begin, da + begin, width, first == 0, <floating*>p.db + 2 * H + begin, scratch)
    if not p.reset_after:
        # dU_n[H,H] (+)= da_n[rows,H]^T q[rows,H]
        add_sums(
            &p.products, H, H, rows, part, parts, da, width,
            <const floating*>p.tape + first * p.tape_width + 3 * H, p.tape_width, first == 0,
            <floating*>p.dU + 2 * H * H, scratch,
        )


cdef inline void recurrent_gradients(
    const Pass* p, Py_ssize_t part, Py_ssize_t parts, Py_ssize_t first, Py_ssize_t rows, floating* scratch
) noexcept nogil:
    """dU[G_h,H] += sum over steps da_h^T h: y stands for h, one step apart; `rows` of the (T-1) * N from `first` on."""
    cdef Py_ssize_t ahead = 0 if p.reverse else p.N, behind = p.N - ahead
    cdef const floating* y = <const floating*>p.y + (first + behind) * p.y_n
    rows = min(rows, (p.T - 1) * p.N - first)
    if rows > 0:
        # dU[G_h,H] += da_h[rows,G_h]^T y[rows,H]
        add_sums(
            &p.products, p.G_h, p.H, rows, part, parts,
            <const floating*>p.da + (first + ahead) * p.width + p.first, p.width, y, p.y_n, False,
            <floating*>p.dU, scratch,
        )


cdef inline void bias_gradients(
    const Pass* p, Py_ssize_t part, Py_ssize_t parts, floating* db, floating* dc
) noexcept nogil:
    """What db and dc have in common, once their sums are there."""
    cdef Py_ssize_t begin = part_begin(p.G_h, part, parts), end = part_begin(p.G_h, part + 1, parts)
    end = min(end, p.G_i)
    if begin < end:
        memcpy(db + begin, dc + begin, (end - begin) * sizeof(floating))
    if p.kind == GRU and not p.reset_after:
        begin, end = 2 * p.H + part_begin(p.H, part, parts), 2 * p.H + part_begin(p.H, part + 1, parts)
        memcpy(dc + begin, db + begin, (end - begin) * sizeof(floating))
