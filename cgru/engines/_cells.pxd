"""The cells that the BLAS engine computes: what one is, and the pass over one row's gates.

All three come as gates of H rows each in W, U, b, c and in the sums made with them.
"""

from cgru.engines._gates cimport (
    LANES, Gates, candidate, fma, gru_after_block, gru_before_block, gru_reset_block, pad_block, sigmoid, tanh,
)
from cython cimport floating
from libc.string cimport memcpy


cdef enum:                              # Cell.code of cgru/cells.py
    GRU = 0
    RNN = 1
    LSTM = 2


cdef struct Cell:
    int kind
    Py_ssize_t K, H, G                  # features in, hidden units, rows of W: 3H, H or 4H
    bint reset_after                    # GRU
    Gates gates                         # GRU: f and g; RNN: g
    const void* W                       # (G, K) rows r, z, n for a GRU, i, f, g, o for an LSTM
    const void* U                       # (G, H)
    const void* b                       # (G,) beside W
    const void* c                       # (G,) beside U


cdef inline void rnn_block(
    bint plain, const Gates* gates,
    const floating* a, const floating* b,                            # IN W x + b, U h + c
    floating* h_new,                                                 # OUT
) noexcept nogil:
    """h' = g(W x + b + U h + c). No tape: h' is y."""
    cdef floating out[LANES]
    cdef Py_ssize_t j
    for j in range(LANES):
        out[j] = candidate(plain, gates, a[j] + b[j])
    memcpy(h_new, &out[0], LANES * sizeof(floating))


cdef inline void lstm_block(
    const floating* a, const floating* b, Py_ssize_t stride,         # IN W x + b, U h + c: i, f, g, o, stride apart
    floating* h_new,                                                 # OUT
    floating* c,                                                     # IN/OUT the cell state
    floating* tape, Py_ssize_t H, Py_ssize_t count,                  # OUT i, f, g, o, c', H apart, or NULL
) noexcept nogil:
    """i, f, o = s(their sums), g = tanh(its sum), c' = f c + i g, h' = o tanh(c')."""
    cdef floating gates[4][LANES]
    cdef floating c_new[LANES]
    cdef floating out[LANES]
    cdef Py_ssize_t j
    for j in range(LANES):
        gates[0][j] = sigmoid(a[j] + b[j])
        gates[1][j] = sigmoid(a[stride + j] + b[stride + j])
        gates[2][j] = tanh(a[2 * stride + j] + b[2 * stride + j])
        gates[3][j] = sigmoid(a[3 * stride + j] + b[3 * stride + j])
        c_new[j] = fma(gates[1][j], c[j], gates[0][j] * gates[2][j])
        out[j] = gates[3][j] * tanh(c_new[j])
    if tape != NULL:
        for j in range(4):
            memcpy(tape + j * H, &gates[j][0], count * sizeof(floating))
        memcpy(tape + 4 * H, &c_new[0], count * sizeof(floating))
    memcpy(c, &c_new[0], LANES * sizeof(floating))
    memcpy(h_new, &out[0], LANES * sizeof(floating))


cdef inline void update_block(
    bint plain, const Cell* cell,
    const floating* a, const floating* b, Py_ssize_t stride,         # IN W x + b, U h + c, gates stride apart
    floating* h, floating* c,                                        # IN/OUT
    floating* tape, Py_ssize_t count,
) noexcept nogil:
    if cell.kind == RNN:
        rnn_block(plain, &cell.gates, a, b, h)
    elif cell.kind == LSTM:
        lstm_block(a, b, stride, h, c, tape, cell.H, count)
    elif cell.reset_after:
        gru_after_block(
            plain, &cell.gates, a, a + stride, a + 2 * stride, b, b + stride, b + 2 * stride, h, h, tape, cell.H, count,
        )
    else:
        gru_before_block(
            plain, &cell.gates, a + stride, a + 2 * stride, b + stride, b + 2 * stride, h, h, tape, cell.H, count,
        )


cdef inline void update_row(
    bint plain, const Cell* cell, const floating* gi, const floating* gh, floating* h, floating* c, floating* tape
) noexcept nogil:
    """One row: gi, gh (G,), h (H,), an LSTM's c (H,); the last, short block goes through padded copies."""
    cdef Py_ssize_t j = 0, H = cell.H, gate, left
    cdef floating a[4][LANES]
    cdef floating b[4][LANES]
    cdef floating state[2][LANES]
    while j + LANES <= H:
        update_block(plain, cell, gi + j, gh + j, H, h + j, c + j, tape, LANES)
        j += LANES
        tape = NULL if tape == NULL else tape + LANES
    if j < H:
        left = H - j
        for gate in range(cell.G // H):
            pad_block(a[gate], gi + gate * H + j, left)
            pad_block(b[gate], gh + gate * H + j, left)
        pad_block(state[0], h + j, left)
        pad_block(state[1], c + j, left)
        update_block(plain, cell, a[0], b[0], LANES, state[0], state[1], tape, left)
        memcpy(h + j, state[0], left * sizeof(floating))
        if cell.kind == LSTM:
            memcpy(c + j, state[1], left * sizeof(floating))


cdef inline void reset_row(
    bint plain, const Cell* cell,
    const floating* gi, const floating* gh, const floating* h, floating* rh, floating* tape,
) noexcept nogil:
    """GRU with reset_after=False, before U_n: r and r h."""
    cdef Py_ssize_t j = 0, H = cell.H
    cdef floating pad[3][LANES]
    while j + LANES <= H:
        gru_reset_block(plain, &cell.gates, gi + j, gh + j, h + j, rh + j, tape, H, LANES)
        j += LANES
        tape = NULL if tape == NULL else tape + LANES
    if j < H:
        pad_block(pad[0], gi + j, H - j)
        pad_block(pad[1], gh + j, H - j)
        pad_block(pad[2], h + j, H - j)
        gru_reset_block(plain, &cell.gates, pad[0], pad[1], pad[2], pad[2], tape, H, H - j)
        memcpy(rh + j, pad[2], (H - j) * sizeof(floating))
