"""The cells: which there are, and the pass over the sums of one row, once for all engines.

Two kinds of sums go in, a = W x + b and b = U h + c, with one number for each hidden unit and gate. They lie as their
engine makes them, and `in_blocks` says how:

    packed (True)      block by block of LANES units, a block's gates side by side, whole blocks
    blas (False)       gate by gate, H numbers each

A cell's arithmetic is in a file of its own (_gru.pxd, _rnn.pxd, _lstm.pxd).
"""

from cgru.engines._activations cimport Activations, activations_of
from cgru.engines._blocks cimport pad_block
from cgru.engines._gru cimport gru_after_block, gru_before_block, gru_reset_block
from cgru.engines._lstm cimport lstm_block
from cgru.engines._rnn cimport rnn_block
from cgru.engines._target cimport LANES
from cython cimport floating
from libc.string cimport memcpy


cdef enum:                              # Cell.code of cgru/cells.py
    GRU = 0
    RNN = 1
    LSTM = 2


cdef struct Cell:
    int kind
    bint reset_after                    # GRU
    Py_ssize_t H                        # hidden units
    Py_ssize_t gates                    # matrices of H rows in W and U: 3, 1, 4
    Py_ssize_t together                 # how many of U's come of one product: all, or 2 with reset_after=False
    Py_ssize_t planes                   # of state: h, and an LSTM's c
    Activations act


cdef inline Cell cell_of(int kind, Py_ssize_t H, bint reset_after, f, g, h, double clip):
    cdef Cell cell
    if kind not in (GRU, RNN, LSTM):
        raise ValueError(f"there is no cell of kind {kind}")
    cell.kind, cell.H, cell.reset_after = kind, H, reset_after
    cell.gates = 3 if kind == GRU else 4 if kind == LSTM else 1
    cell.together = 2 if kind == GRU and not reset_after else cell.gates
    cell.planes = 2 if kind == LSTM else 1
    cell.act = activations_of(f, g, h, clip)
    return cell


cdef inline void update_row(
    bint in_blocks,                                                  # a compile-time constant at every call
    const Cell* cell,
    const floating* a, const floating* b,                            # IN the row's sums
    const floating* b_n,                                             # IN reset_after=False: U_n (r h) + c_n, (H,)
    const floating* h, const floating* c,                            # IN (H,) the old state; c of an LSTM
    floating* h_new, floating* c_new,                                # OUT (H,); may be the old state
    floating* tape,                                                  # OUT (planes * H,), or NULL
) noexcept nogil:
    """The gates and the new state of one row."""
    if cell.act.plain:
        update_blocks(True, in_blocks, cell, a, b, b_n, h, c, h_new, c_new, tape)
    else:
        update_blocks(False, in_blocks, cell, a, b, b_n, h, c, h_new, c_new, tape)


cdef inline void update_blocks(
    bint plain, bint in_blocks, const Cell* cell, const floating* a, const floating* b, const floating* b_n,
    const floating* h, const floating* c, floating* h_new, floating* c_new, floating* tape,
) noexcept nogil:
    """`update_row`. The last block may be short, and the row's memory ends there: it goes through padded copies."""
    cdef Py_ssize_t H = cell.H, left = H, gate
    cdef Py_ssize_t stride = LANES if in_blocks else H
    cdef Py_ssize_t step_a = cell.gates * LANES if in_blocks else LANES
    cdef Py_ssize_t step_b = cell.together * LANES if in_blocks else LANES
    cdef floating a_pad[4 * LANES]
    cdef floating b_pad[4 * LANES]
    cdef floating n_pad[LANES]
    cdef floating h_pad[LANES]
    cdef floating c_pad[LANES]
    while left >= LANES:
        update_block(plain, cell, a, b, stride, b_n, h, c, h_new, c_new, tape, LANES)
        left -= LANES
        a += step_a
        b += step_b
        b_n += LANES
        h += LANES
        h_new += LANES
        if cell.planes == 2:
            c += LANES
            c_new += LANES
        tape = NULL if tape == NULL else tape + LANES
    if left == 0:
        return
    pad_block(h_pad, h, left)
    if cell.planes == 2:
        pad_block(c_pad, c, left)
    if in_blocks:
        update_block(plain, cell, a, b, stride, b_n, h_pad, c_pad, h_pad, c_pad, tape, left)
    else:
        for gate in range(cell.gates):
            pad_block(a_pad + gate * LANES, a + gate * H, left)
            pad_block(b_pad + gate * LANES, b + gate * H, left)
        pad_block(n_pad, b_n, left)
        update_block(plain, cell, a_pad, b_pad, LANES, n_pad, h_pad, c_pad, h_pad, c_pad, tape, left)
    memcpy(h_new, h_pad, left * sizeof(floating))
    if cell.planes == 2:
        memcpy(c_new, c_pad, left * sizeof(floating))


cdef inline void update_block(
    bint plain, const Cell* cell, const floating* a, const floating* b, Py_ssize_t stride, const floating* b_n,
    const floating* h, const floating* c, floating* h_new, floating* c_new, floating* tape, Py_ssize_t count,
) noexcept nogil:
    """LANES units; `count` of them go to the tape."""
    if cell.kind == RNN:
        rnn_block(plain, &cell.act, a, b, h_new)
    elif cell.kind == LSTM:
        lstm_block(plain, &cell.act, a, b, stride, c, h_new, c_new, tape, cell.H, count)
    elif cell.reset_after:
        gru_after_block(plain, &cell.act, a, b, stride, h, h_new, tape, cell.H, count)
    else:
        gru_before_block(plain, &cell.act, a, b, stride, b_n, h, h_new, tape, cell.H, count)


cdef inline void reset_row(
    bint in_blocks,                                                  # a compile-time constant at every call
    const Cell* cell,
    const floating* a, const floating* b,                            # IN the row's sums
    const floating* h,                                               # IN (H,) the old state
    floating* rh,                                                    # OUT (H,)
    floating* tape,                                                  # OUT (planes * H,), or NULL
) noexcept nogil:
    """A GRU with reset_after=False, before the product with U_n: r and r h of one row."""
    if cell.act.plain:
        reset_blocks(True, in_blocks, cell, a, b, h, rh, tape)
    else:
        reset_blocks(False, in_blocks, cell, a, b, h, rh, tape)


cdef inline void reset_blocks(
    bint plain, bint in_blocks, const Cell* cell,
    const floating* a, const floating* b, const floating* h, floating* rh, floating* tape,
) noexcept nogil:
    cdef Py_ssize_t H = cell.H, left = H
    cdef Py_ssize_t step_a = cell.gates * LANES if in_blocks else LANES
    cdef Py_ssize_t step_b = cell.together * LANES if in_blocks else LANES
    cdef floating a_pad[LANES]
    cdef floating b_pad[LANES]
    cdef floating h_pad[LANES]
    while left >= LANES:
        gru_reset_block(plain, &cell.act, a, b, h, rh, tape, H, LANES)
        left -= LANES
        a += step_a
        b += step_b
        h += LANES
        rh += LANES
        tape = NULL if tape == NULL else tape + LANES
    if left == 0:
        return
    pad_block(a_pad, a, left)
    pad_block(b_pad, b, left)
    pad_block(h_pad, h, left)
    gru_reset_block(plain, &cell.act, a_pad, b_pad, h_pad, h_pad, tape, H, left)
    memcpy(rh, h_pad, left * sizeof(floating))
