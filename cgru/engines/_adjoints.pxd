"""The elementwise parts of one step of backpropagation, for every cell; backward.pyx numbers the lines.

Units are handled in blocks of LANES. A block's results are built in local arrays, so the compiler needs no
aliasing checks, in one loop, which gcc turns into vector code; `count` is LANES, or what is left at a row's end.
"""

cimport numpy as cnp
from cgru.engines._cells cimport LSTM, RNN
from cgru.engines._gates cimport LANES, tanh
from cython cimport floating
from libc.string cimport memcpy


cdef struct Pass:
    int kind
    bint reset_after, relu, reverse, add_dx
    Py_ssize_t T, N, K, H
    Py_ssize_t width, tape_width        # of da, of the tape
    Py_ssize_t first                    # where da_h begins in da
    Py_ssize_t G_h, G_i                 # columns of da_h, and how many of them have W x in them too
    const cnp.intp_t* lengths           # (N,), falling; or NULL: every row has T steps
    const void* W                       # (G, K), rows as in _cells.pxd
    const void* U                       # (G, H)
    const void* x                       # (T, N, K), zero past a row's length, as are y and tape
    const void* h_0                     # (N, H)
    const void* c_0                     # (N, H), LSTM
    const void* y                       # (T, N, H), rows y_n apart, as those of dy
    const void* tape                    # (T, N, tape_width)
    const void* dy                      # (T, N, H), or NULL
    Py_ssize_t y_n
    void* dh                            # (N, H): dL/dh_n -> dL/dh_0
    void* dc_n                          # (N, H): dL/dc_n -> dL/dc_0, LSTM
    void* dx                            # (T, N, K), or NULL
    void* dW
    void* dU
    void* db                            # (G,)
    void* dc                            # (G,)


cdef inline floating above(const floating* dh, const floating* dy, Py_ssize_t j) noexcept nogil:
    """dL/dh': from the step after, and from y."""
    return dh[j] if dy == NULL else dh[j] + dy[j]


cdef inline void gru_after_block(
    const floating* tape, Py_ssize_t H,                              # IN r, z, n, q, H apart
    const floating* h, const floating* dy,                           # IN the old state; dL/dy or NULL
    floating* dh,                                                    # IN/OUT dL/dh' -> the direct part of dL/dh
    floating* da,                                                    # OUT da_n, da_r, da_z, da_q, H apart
    Py_ssize_t count,
) noexcept nogil:
    cdef floating out[5][LANES]
    cdef floating D, r, z, n, one = 1.0
    cdef Py_ssize_t j
    for j in range(count):
        r, z, n = tape[j], tape[H + j], tape[2 * H + j]
        D = above(dh, dy, j)
        out[0][j] = D * (one - z) * (one - n * n)                       # 4a, 3a
        out[1][j] = out[0][j] * tape[3 * H + j] * (r * (one - r))       # 3b, 1
        out[2][j] = D * (h[j] - n) * (z * (one - z))                    # 4b, 2
        out[3][j] = out[0][j] * r                                       # 3c
        out[4][j] = D * z                                               # 4c
    for j in range(4):
        memcpy(da + j * H, &out[j][0], count * sizeof(floating))
    memcpy(dh, &out[4][0], count * sizeof(floating))


cdef inline void gru_before_block(
    const floating* tape, Py_ssize_t H, const floating* h, const floating* dy,
    floating* dh,                                                    # IN/OUT
    floating* da,                                                    # OUT da_n, -, da_z, H apart
    Py_ssize_t count,
) noexcept nogil:
    """reset_after=False, first half: what needs no dq."""
    cdef floating out[3][LANES]
    cdef floating D, z, n, one = 1.0
    cdef Py_ssize_t j
    for j in range(count):
        z, n = tape[H + j], tape[2 * H + j]
        D = above(dh, dy, j)
        out[0][j] = D * (one - z) * (one - n * n)                       # 4a, 3'a
        out[1][j] = D * (h[j] - n) * (z * (one - z))                    # 4b, 2
        out[2][j] = D * z                                               # 4c
    memcpy(da, &out[0][0], count * sizeof(floating))
    memcpy(da + 2 * H, &out[1][0], count * sizeof(floating))
    memcpy(dh, &out[2][0], count * sizeof(floating))


cdef inline void gru_reset_block(
    const floating* r, const floating* h, const floating* dq,        # IN
    floating* dh,                                                    # IN/OUT
    floating* da_r,                                                  # OUT
    Py_ssize_t count,
) noexcept nogil:
    """reset_after=False, second half, once dq = U_n^T da_n is known."""
    cdef floating out[2][LANES]
    cdef floating one = 1.0
    cdef Py_ssize_t j
    for j in range(count):
        out[0][j] = dq[j] * h[j] * (r[j] * (one - r[j]))                # 3'b, 1
        out[1][j] = dh[j] + dq[j] * r[j]                                # 3'c
    memcpy(da_r, &out[0][0], count * sizeof(floating))
    memcpy(dh, &out[1][0], count * sizeof(floating))


cdef inline void rnn_block(
    bint relu,
    const floating* h_new, const floating* dy,                       # IN
    floating* dh,                                                    # IN/OUT dL/dh' -> 0
    floating* da,                                                    # OUT
    Py_ssize_t count,
) noexcept nogil:
    cdef floating out[LANES]
    cdef floating one = 1.0, zero = 0.0, slope
    cdef Py_ssize_t j
    for j in range(count):
        if relu:
            slope = one if h_new[j] > zero else zero
        else:
            slope = one - h_new[j] * h_new[j]
        out[j] = above(dh, dy, j) * slope                               # R
    memcpy(da, &out[0], count * sizeof(floating))
    for j in range(count):
        dh[j] = zero


cdef inline void lstm_block(
    const floating* tape, Py_ssize_t H,                              # IN i, f, g, o, c', H apart
    const floating* c, const floating* dy,                           # IN the old cell state; dL/dy or NULL
    floating* dh,                                                    # IN/OUT dL/dh' -> 0
    floating* dc,                                                    # IN/OUT dL/dc' -> dL/dc
    floating* da,                                                    # OUT da_i, da_f, da_g, da_o, H apart
    Py_ssize_t count,
) noexcept nogil:
    cdef floating out[5][LANES]
    cdef floating D, C, i, f, g, o, k, one = 1.0, zero = 0.0
    cdef Py_ssize_t j
    for j in range(count):
        i, f, g, o = tape[j], tape[H + j], tape[2 * H + j], tape[3 * H + j]
        k = tanh(tape[4 * H + j])
        D = above(dh, dy, j)
        C = dc[j] + D * o * (one - k * k)                               # L6b
        out[0][j] = C * g * (i * (one - i))                             # L5a, L1
        out[1][j] = C * c[j] * (f * (one - f))                          # L5b, L2
        out[2][j] = C * i * (one - g * g)                               # L5c, L3
        out[3][j] = D * k * (o * (one - o))                             # L6a, L4
        out[4][j] = C * f                                               # L5d
    for j in range(4):
        memcpy(da + j * H, &out[j][0], count * sizeof(floating))
    memcpy(dc, &out[4][0], count * sizeof(floating))
    for j in range(count):
        dh[j] = zero


cdef inline const floating* before(
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


cdef inline void gate_row(const Pass* p, Py_ssize_t t, Py_ssize_t i, floating* da) noexcept nogil:
    """Row i at time t, all units."""
    cdef Py_ssize_t j = 0, H = p.H, at = t * p.N + i
    cdef const floating* tape = <const floating*>p.tape + at * p.tape_width
    cdef const floating* y = <const floating*>p.y
    cdef const floating* h_new = y + at * p.y_n
    cdef const floating* dy = NULL
    cdef floating* dh = <floating*>p.dh + i * H
    cdef floating* dc = dh
    cdef const floating* old = before(p, t, i, y, p.y_n, p.h_0)
    if p.dy != NULL:
        dy = <const floating*>p.dy + at * p.y_n
    if p.kind == LSTM:
        dc = <floating*>p.dc_n + i * H
        old = before(p, t, i, <const floating*>p.tape + 4 * H, p.tape_width, p.c_0)
    while j + LANES <= H:
        gate_block(p, tape + j, h_new + j, old + j, dy, dh + j, dc + j, da + j, LANES)
        j += LANES
        if dy != NULL:
            dy += LANES
    if j < H:
        gate_block(p, tape + j, h_new + j, old + j, dy, dh + j, dc + j, da + j, H - j)


cdef inline void gate_block(
    const Pass* p, const floating* tape, const floating* h_new, const floating* old, const floating* dy,
    floating* dh, floating* dc, floating* da, Py_ssize_t count,
) noexcept nogil:
    if p.kind == LSTM:
        lstm_block(tape, p.H, old, dy, dh, dc, da, count)
    elif p.kind == RNN:
        rnn_block(p.relu, h_new, dy, dh, da, count)
    elif p.reset_after:
        gru_after_block(tape, p.H, old, dy, dh, da, count)
    else:
        gru_before_block(tape, p.H, old, dy, dh, da, count)


cdef inline void reset_row(
    const Pass* p, Py_ssize_t t, Py_ssize_t i, const floating* dq, floating* da_r
) noexcept nogil:
    cdef Py_ssize_t j = 0, H = p.H
    cdef const floating* r = <const floating*>p.tape + (t * p.N + i) * p.tape_width
    cdef const floating* h = before(p, t, i, <const floating*>p.y, p.y_n, p.h_0)
    cdef floating* dh = <floating*>p.dh + i * H
    while j + LANES <= H:
        gru_reset_block(r + j, h + j, dq + j, dh + j, da_r + j, LANES)
        j += LANES
    if j < H:
        gru_reset_block(r + j, h + j, dq + j, dh + j, da_r + j, H - j)
