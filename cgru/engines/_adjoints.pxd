"""What the backward pass is told, and its elementwise part for one row of one step.

The arithmetic of a cell is in its own file (_gru.pxd, _rnn.pxd, _lstm.pxd), block by block of LANES units. Where a
direction is not plain, its slopes come from what went into its activations (_slopes.pxd), which the tape keeps.
"""

cimport numpy as cnp
from cgru.engines._activations cimport Activation, Activations, apply_h
from cgru.engines._backward_products cimport Products
from cgru.engines._cells cimport LSTM, RNN
from cgru.engines._functions cimport CONSTANTS, load_constants
from cgru.engines._gru cimport gru_after_adjoint, gru_before_adjoint, gru_reset_adjoint
from cgru.engines._lstm cimport lstm_adjoint
from cgru.engines._rnn cimport rnn_adjoint
from cgru.engines._slopes cimport Slopes, take_slopes
from cgru.engines._target cimport LANES
from cython cimport floating


cdef struct Pass


cdef struct Pass:
    int kind
    bint plain                          # slopes follow from what is on the tape, or in y; otherwise from what went in
    bint reset_after, relu, reverse, add_dx
    Activations act
    Slopes slopes
    # `gates_adjoint` of what is not plain: calls, since it is rare
    void (*other_float)(
        const Pass* p, const float* tape, const float* h_new, const float* old, const float* dy, float* dh, float* dc,
        float* da, Py_ssize_t count
    ) noexcept nogil
    void (*other_double)(
        const Pass* p, const double* tape, const double* h_new, const double* old, const double* dy, double* dh,
        double* dc, double* da, Py_ssize_t count
    ) noexcept nogil
    Py_ssize_t T, N, K, H
    Py_ssize_t width, tape_width        # of da, of the tape
    Py_ssize_t first                    # where da_h begins in da
    Py_ssize_t G_h, G_i                 # columns of da_h, and how many of them have W x in them too
    Products products
    const cnp.intp_t* lengths           # (N,), falling; or NULL: every row has T steps
    const void* W                       # (G, K), rows r, z, n for a GRU, i, f, g, o for an LSTM
    const void* U                       # (G, H)
    const void* x                       # (T, N, K), zero past a row's length, as are y and tape
    const void* h_0                     # (N, H)
    const void* c_0                     # (N, H), LSTM
    const void* y                       # (T, N, H), rows y_n apart, as those of dy
    const void* tape                    # (T, N, tape_width); of an RNN that is plain not looked at
    const void* dy                      # (T, N, H), or NULL
    Py_ssize_t y_n
    void* da                            # (T, N, width), and ROWS numbers behind it
    void* dh                            # (N, H): dL/dh_n -> dL/dh_0
    void* dc_n                          # (N, H): dL/dc_n -> dL/dc_0, LSTM
    void* dx                            # (T, N, K), or NULL
    void* dW
    void* dU
    void* db                            # (G,)
    void* dc                            # (G,)


cdef inline const floating* state_before(
    const Pass* p, Py_ssize_t t, Py_ssize_t i, const floating* states, Py_ssize_t stride, const void* initial
) noexcept nogil:
    """Row i of a state before the step at time t, from the states (T, N, H) after each step, rows stride apart."""
    cdef Py_ssize_t length = p.T if p.lengths == NULL else p.lengths[i]
    if p.reverse:
        if t + 1 < length:
            return states + ((t + 1) * p.N + i) * stride
    elif t > 0:
        return states + ((t - 1) * p.N + i) * stride
    return <const floating*>initial + i * p.H


cdef inline void gates_adjoint_row(const Pass* p, Py_ssize_t t, Py_ssize_t i, floating* da) noexcept nogil:
    """Row i at time t, all units: da, and what goes on to the step before."""
    cdef Py_ssize_t j = 0, H = p.H, at = t * p.N + i
    cdef const floating* tape = <const floating*>p.tape + at * p.tape_width
    cdef const floating* y = <const floating*>p.y
    cdef const floating* h_new = y + at * p.y_n
    cdef const floating* dy = NULL
    cdef floating* dh = <floating*>p.dh + i * H
    cdef floating* dc = dh
    cdef const floating* old = state_before(p, t, i, y, p.y_n, p.h_0)
    if p.dy != NULL:
        dy = <const floating*>p.dy + at * p.y_n
    if p.kind == LSTM:
        dc = <floating*>p.dc_n + i * H
        old = state_before(p, t, i, <const floating*>p.tape + 4 * H, p.tape_width, p.c_0)
    while j + LANES <= H:
        gates_adjoint(p, tape + j, h_new + j, old + j, dy, dh + j, dc + j, da + j, LANES)
        j += LANES
        if dy != NULL:
            dy += LANES
    if j < H:
        gates_adjoint(p, tape + j, h_new + j, old + j, dy, dh + j, dc + j, da + j, H - j)


cdef inline void gates_adjoint(
    const Pass* p, const floating* tape, const floating* h_new, const floating* old,
    const floating* dy,                                              # IN dL/dy, or NULL
    floating* dh, floating* dc,                                      # IN/OUT
    floating* da,                                                    # OUT
    Py_ssize_t count,
) noexcept nogil:
    """One block."""
    if p.plain:
        cell_adjoint(True, p, tape, NULL, h_new, old, dy, dh, dc, da, count)
    elif floating is float:
        p.other_float(p, tape, h_new, old, dy, dh, dc, da, count)
    else:
        p.other_double(p, tape, h_new, old, dy, dh, dc, da, count)


cdef inline void cell_adjoint(
    bint plain,                                                      # a compile-time constant
    const Pass* p, const floating* tape, const floating* slopes, const floating* h_new, const floating* old,
    const floating* dy, floating* dh, floating* dc, floating* da, Py_ssize_t count,
) noexcept nogil:
    if p.kind == LSTM:
        lstm_adjoint(plain, tape, p.H, slopes, old, dy, dh, dc, da, count)
    elif p.kind == RNN:
        rnn_adjoint(plain, p.relu, h_new, dy, slopes, dh, da, count)
    elif p.reset_after:
        gru_after_adjoint(plain, tape, p.H, slopes, old, dy, dh, da, count)
    else:
        gru_before_adjoint(plain, tape, p.H, slopes, old, dy, dh, da, count)


cdef inline void other_adjoint(
    const Pass* p, const floating* tape, const floating* h_new, const floating* old, const floating* dy,
    floating* dh, floating* dc, floating* da, Py_ssize_t count,
) noexcept nogil:
    """`gates_adjoint` of what is not plain."""
    cdef floating slopes[6][LANES]
    cdef floating k[CONSTANTS]
    cdef Py_ssize_t g, j, H = p.H
    cdef const Activations* act = &p.act
    if p.kind == RNN:
        take_slopes(&p.slopes, &act.g, act.clip, count, tape, h_new, &slopes[0][0])
    elif p.kind == LSTM:
        load_constants(&k[0])
        for g in range(4):
            take_slopes(
                &p.slopes, &act.g if g == 2 else &act.f, act.clip, count, tape + (5 + g) * H, tape + g * H,
                &slopes[g][0],
            )
        for j in range(count):
            slopes[5][j] = apply_h(False, act, tape[4 * H + j], &k[0])
        take_slopes(&p.slopes, &act.h, 0, count, tape + 4 * H, &slopes[5][0], &slopes[4][0])
    else:
        for g in range(3):
            take_slopes(
                &p.slopes, &act.g if g == 2 else &act.f, act.clip, count, tape + (4 + g) * H, tape + g * H,
                &slopes[g][0],
            )
    cell_adjoint(False, p, tape, &slopes[0][0], h_new, old, dy, dh, dc, da, count)


cdef inline void reset_adjoint_row(
    const Pass* p, Py_ssize_t t, Py_ssize_t i, const floating* dq, floating* da_r
) noexcept nogil:
    """A GRU with reset_after=False, once dq is known: row i at time t, all units."""
    cdef floating slopes[LANES]
    cdef Py_ssize_t j = 0, H = p.H, count
    cdef const floating* r = <const floating*>p.tape + (t * p.N + i) * p.tape_width
    cdef const floating* h = state_before(p, t, i, <const floating*>p.y, p.y_n, p.h_0)
    cdef floating* dh = <floating*>p.dh + i * H
    while not p.plain and j < H:
        count = min(LANES, H - j)
        take_slopes(&p.slopes, &p.act.f, p.act.clip, count, r + 4 * H + j, r + j, &slopes[0])
        gru_reset_adjoint(False, r + j, h + j, dq + j, &slopes[0], dh + j, da_r + j, count)
        j += LANES
    while j + LANES <= H:
        gru_reset_adjoint(True, r + j, h + j, dq + j, NULL, dh + j, da_r + j, LANES)
        j += LANES
    if j < H:
        gru_reset_adjoint(True, r + j, h + j, dq + j, NULL, dh + j, da_r + j, H - j)
