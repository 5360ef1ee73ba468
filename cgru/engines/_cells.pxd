"""The cells: which there are, and the pass over the sums of all rows of a step, once for all engines.

Two kinds of sums go in, a = W x + b and b = U h + c, with one number for each hidden unit and gate. They lie as their
engine makes them, `stride` numbers from gate to gate and `step` from block to block of LANES units:

    packed    stride = LANES, step = gates * LANES:  block by block, a block's gates side by side
    blas      stride = H, step = LANES:              gate by gate

In a last block of fewer than LANES units, the stride of packed is their number (packing.py). LANES numbers are read of
every gate all the same, also at the end of a row: engines have so many more than they need.

A cell's arithmetic is in a file of its own (_gru.pxd, _rnn.pxd, _lstm.pxd).
"""

from cgru.engines._activations cimport Activation, Activations, activations_of
from cgru.engines._blocks cimport copy_short, pad_block
from cgru.engines._functions cimport CONSTANTS, load_constants
from cgru.engines._gru cimport gru_after_block, gru_before_block, gru_reset_block
from cgru.engines._lstm cimport lstm_block
from cgru.engines._rnn cimport rnn_block
from cgru.engines._target cimport LANES
from cython cimport floating


cdef enum:                              # Cell.code of cgru/cells.py
    GRU = 0
    RNN = 1
    LSTM = 2
    LINEAR = 3                          # no state: _linear.pxd


cdef struct Cell:
    int kind
    bint reset_after                    # GRU
    Py_ssize_t H                        # hidden units
    Py_ssize_t gates                    # matrices of H rows in W and U: 3, 1, 4; a Linear has no U
    Py_ssize_t together                 # how many of U's come of one product: all, or 2 with reset_after=False
    Py_ssize_t planes                   # of state: h, and an LSTM's c; 0 of a Linear
    Py_ssize_t stride, last_stride      # from gate to gate in a and b, and in a last block that is not whole
    Py_ssize_t step_a, step_b           # from block to block
    Activations act
    # of a Linear, `linear_rows`: a call, since it is long, and wanted in two places
    void (*linear_float)(
        const Activation* act, Py_ssize_t count, Py_ssize_t N, const float* a, Py_ssize_t lda, float* const* y
    ) noexcept nogil
    void (*linear_double)(
        const Activation* act, Py_ssize_t count, Py_ssize_t N, const double* a, Py_ssize_t lda, double* const* y
    ) noexcept nogil


cdef inline Cell cell_of(bint in_blocks, int kind, Py_ssize_t H, bint reset_after, f, g, h, double clip):
    cdef Cell cell
    if kind not in (GRU, RNN, LSTM, LINEAR):
        raise ValueError(f"there is no cell of kind {kind}")
    cell.kind, cell.H, cell.reset_after = kind, H, reset_after
    cell.gates = 3 if kind == GRU else 4 if kind == LSTM else 1
    cell.together = 2 if kind == GRU and not reset_after else cell.gates
    cell.planes = 2 if kind == LSTM else 0 if kind == LINEAR else 1
    cell.stride, cell.last_stride, cell.step_a, cell.step_b = H, H, LANES, LANES
    if in_blocks:
        cell.stride, cell.last_stride = LANES, H % LANES
        cell.step_a, cell.step_b = cell.gates * LANES, cell.together * LANES
    cell.act = activations_of(f, g, h, clip)
    return cell


cdef inline void update_rows(
    const Cell* cell, Py_ssize_t N,
    const floating* a, Py_ssize_t lda, const floating* b, Py_ssize_t ldb,   # IN the sums, rows lda and ldb apart
    const floating* b_n, Py_ssize_t ldn,                             # IN reset_after=False: U_n (r h) + c_n, (N, H)
    const floating* const* h, const floating* const* c,              # IN each row's old state (H,); c of an LSTM
    floating* const* h_new, floating* const* c_new,                  # OUT (H,) each; may be the old ones
    floating* const* tape,                                           # OUT (tape planes * H,) each, or NULL
) noexcept nogil:
    """The gates and the new states of N rows."""
    if not cell.act.plain:
        update_kind(False, True, cell, N, a, lda, b, ldb, b_n, ldn, h, c, h_new, c_new, tape)
    elif tape == NULL:
        update_kind(True, False, cell, N, a, lda, b, ldb, b_n, ldn, h, c, h_new, c_new, tape)
    else:
        update_kind(True, True, cell, N, a, lda, b, ldb, b_n, ldn, h, c, h_new, c_new, tape)


cdef inline void update_kind(
    bint plain, bint taped,             # compile-time constants; taped: there may be a tape
    const Cell* cell, Py_ssize_t N,
    const floating* a, Py_ssize_t lda, const floating* b, Py_ssize_t ldb, const floating* b_n, Py_ssize_t ldn,
    const floating* const* h, const floating* const* c, floating* const* h_new, floating* const* c_new,
    floating* const* tape,
) noexcept nogil:
    """`update_rows`, with a loop of its own for each cell."""
    if cell.kind == RNN:
        update_each(plain, taped, RNN, True, cell, N, a, lda, b, ldb, b_n, ldn, h, c, h_new, c_new, tape)
    elif cell.kind == LSTM:
        update_each(plain, taped, LSTM, True, cell, N, a, lda, b, ldb, b_n, ldn, h, c, h_new, c_new, tape)
    elif cell.reset_after:
        update_each(plain, taped, GRU, True, cell, N, a, lda, b, ldb, b_n, ldn, h, c, h_new, c_new, tape)
    else:
        update_each(plain, taped, GRU, False, cell, N, a, lda, b, ldb, b_n, ldn, h, c, h_new, c_new, tape)


cdef inline void update_each(
    bint plain, bint taped, int kind, bint reset_after,              # compile-time constants
    const Cell* cell, Py_ssize_t N,
    const floating* a, Py_ssize_t lda, const floating* b, Py_ssize_t ldb, const floating* b_n, Py_ssize_t ldn,
    const floating* const* h, const floating* const* c, floating* const* h_new, floating* const* c_new,
    floating* const* tape,
) noexcept nogil:
    """`update_rows` for one cell: row by row, block by block."""
    cdef floating k[CONSTANTS]
    cdef floating h_pad[LANES]
    cdef floating c_pad[LANES]
    cdef Py_ssize_t i, j, left
    cdef const floating* a_j
    cdef const floating* b_j
    cdef const floating* c_i
    cdef floating* c_to
    cdef floating* tape_i = NULL
    load_constants(&k[0])
    for i in range(N):
        a_j, b_j, j = a + i * lda, b + i * ldb, 0
        c_i, c_to = h[i], h_new[i]      # not looked at
        if kind == LSTM:
            c_i, c_to = c[i], c_new[i]
        if taped and tape != NULL:
            tape_i = tape[i]
        while j + LANES <= cell.H:
            update_block(
                plain, taped, kind, reset_after, cell, cell.stride, &k[0], a_j, b_j, b_n + i * ldn + j, h[i] + j,
                c_i + j, h_new[i] + j, c_to + j, NULL if tape_i == NULL else tape_i + j, LANES,
            )
            j += LANES
            a_j += cell.step_a
            b_j += cell.step_b
        left = cell.H - j
        if left == 0:
            continue
        # the states' memory may end with the row
        pad_block(&h_pad[0], h[i] + j, left)
        if kind == LSTM:
            pad_block(&c_pad[0], c_i + j, left)
        update_block(
            plain, taped, kind, reset_after, cell, cell.last_stride, &k[0], a_j, b_j, b_n + i * ldn + j, &h_pad[0],
            &c_pad[0], &h_pad[0], &c_pad[0], NULL if tape_i == NULL else tape_i + j, left,
        )
        copy_short(h_new[i] + j, &h_pad[0], left)
        if kind == LSTM:
            copy_short(c_to + j, &c_pad[0], left)


cdef inline void update_block(
    bint plain, bint taped, int kind, bint reset_after, const Cell* cell, Py_ssize_t stride, const floating* k,
    const floating* a, const floating* b, const floating* b_n, const floating* h, const floating* c,
    floating* h_new, floating* c_new, floating* tape, Py_ssize_t count,
) noexcept nogil:
    """LANES units; `count` of them go to the tape."""
    if kind == RNN:
        rnn_block(plain, taped, &cell.act, k, a, b, h_new, tape, count)
    elif kind == LSTM:
        lstm_block(plain, taped, &cell.act, k, a, b, stride, c, h_new, c_new, tape, cell.H, count)
    elif reset_after:
        gru_after_block(plain, taped, &cell.act, k, a, b, stride, h, h_new, tape, cell.H, count)
    else:
        gru_before_block(plain, taped, &cell.act, k, a, b, stride, b_n, h, h_new, tape, cell.H, count)


cdef inline void reset_rows(
    const Cell* cell, Py_ssize_t N,
    const floating* a, Py_ssize_t lda, const floating* b, Py_ssize_t ldb,   # IN the sums
    const floating* const* h,                                        # IN each row's old state (H,)
    floating* rh, Py_ssize_t ldr,                                    # OUT (N, H), rows ldr apart
    floating* const* tape,                                           # OUT, or NULL
) noexcept nogil:
    """A GRU with reset_after=False, before the product with U_n: r and r h of N rows."""
    if not cell.act.plain:
        reset_each(False, True, cell, N, a, lda, b, ldb, h, rh, ldr, tape)
    elif tape == NULL:
        reset_each(True, False, cell, N, a, lda, b, ldb, h, rh, ldr, tape)
    else:
        reset_each(True, True, cell, N, a, lda, b, ldb, h, rh, ldr, tape)


cdef inline void reset_each(
    bint plain, bint taped, const Cell* cell, Py_ssize_t N,
    const floating* a, Py_ssize_t lda, const floating* b, Py_ssize_t ldb,
    const floating* const* h, floating* rh, Py_ssize_t ldr, floating* const* tape,
) noexcept nogil:
    """`reset_rows`: row by row, block by block."""
    cdef floating k[CONSTANTS]
    cdef floating pad[LANES]
    cdef Py_ssize_t i, j, left, H = cell.H
    cdef const floating* a_j
    cdef const floating* b_j
    cdef floating* to
    cdef floating* tape_i = NULL
    load_constants(&k[0])
    for i in range(N):
        a_j, b_j, to, j = a + i * lda, b + i * ldb, rh + i * ldr, 0
        if taped and tape != NULL:
            tape_i = tape[i]
        while j + LANES <= H:
            gru_reset_block(
                plain, taped, &cell.act, &k[0], a_j, b_j, h[i] + j, to + j,
                NULL if tape_i == NULL else tape_i + j, H, LANES,
            )
            j += LANES
            a_j += cell.step_a
            b_j += cell.step_b
        left = H - j
        if left > 0:
            pad_block(&pad[0], h[i] + j, left)
            gru_reset_block(
                plain, taped, &cell.act, &k[0], a_j, b_j, &pad[0], &pad[0],
                NULL if tape_i == NULL else tape_i + j, H, left,
            )
            copy_short(to + j, &pad[0], left)
