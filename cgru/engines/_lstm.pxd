"""The LSTM, forward and backward: one block of LANES hidden units at a time (as in _gru.pxd).

a = W x + b and b = U h + c are a gate's two sums; s is the logistic function, unless a model has another f, g or h
(of i, f, o; of g; of c'). dv stands for dL/dv, and a_v for the
argument of the activation that gives v. c is the cell state.

    1   i = s(a_i)                              da_i = di i (1 - i)
    2   f = s(a_f)                              da_f = df f (1 - f)
    3   g = tanh(a_g)                           da_g = dg (1 - g^2)
    4   o = s(a_o)                              da_o = do o (1 - o)
    5   c' = f c + i g                          di = dc' g  a;  df = dc' c  b;  dg = dc' i  c;  dc = dc' f  d
    6   h' = o tanh(c')                         do = dh' tanh(c')  a;  dc' += dh' o (1 - tanh(c')^2)  b;  dh = 0

With other activations, or a clip, their slopes stand in place of v (1 - v) and 1 - v^2, as in _gru.pxd.

The tape keeps i, f, g, o, c' of every step, H numbers apart; with other activations, or a clip, behind them what goes
into i's, f's, g's and o's, before it is clamped. (dh has no direct part: all of it comes through U.)
"""

from cgru.engines._activations cimport Activations, apply_f, apply_g, apply_h
from cgru.engines._blocks cimport arriving, save, slope_of_sigmoid, slope_of_tanh
from cgru.engines._functions cimport CONSTANTS, load_constants, tanh
from cgru.engines._target cimport LANES, fma
from cython cimport floating
from libc.string cimport memcpy


cdef inline void lstm_block(
    bint plain, bint taped, const Activations* act, const floating* k,
    const floating* a, const floating* b, Py_ssize_t stride,         # IN sums of i, f, g, o, stride apart
    const floating* c,                                               # IN the old cell state
    floating* h_new, floating* c_new,                                # OUT
    floating* tape, Py_ssize_t H, Py_ssize_t count,                  # OUT i, f, g, o, c' and maybe more, or NULL
) noexcept nogil:
    """Lines 1 to 6, all LANES units; c_new may be c."""
    cdef floating gates[4][LANES]
    cdef floating sums[4][LANES]
    cdef floating sum_i, sum_f, sum_g, sum_o
    cdef floating cell_state[LANES]
    cdef floating out[LANES]
    cdef Py_ssize_t j
    for j in range(LANES):
        sum_i, sum_f = a[j] + b[j], a[stride + j] + b[stride + j]
        sum_g, sum_o = a[2 * stride + j] + b[2 * stride + j], a[3 * stride + j] + b[3 * stride + j]
        gates[0][j], gates[1][j] = apply_f(plain, act, sum_i, k), apply_f(plain, act, sum_f, k)
        gates[2][j], gates[3][j] = apply_g(plain, act, sum_g, k), apply_f(plain, act, sum_o, k)
        if not plain:
            sums[0][j], sums[1][j], sums[2][j], sums[3][j] = sum_i, sum_f, sum_g, sum_o
        cell_state[j] = fma(gates[1][j], c[j], gates[0][j] * gates[2][j])
        out[j] = gates[3][j] * apply_h(plain, act, cell_state[j], k)
    if taped and tape != NULL:
        for j in range(4):
            save(tape + j * H, &gates[j][0], count)
        save(tape + 4 * H, &cell_state[0], count)
        if not plain:
            for j in range(4):
                save(tape + (5 + j) * H, &sums[j][0], count)
    memcpy(c_new, &cell_state[0], LANES * sizeof(floating))
    memcpy(h_new, &out[0], LANES * sizeof(floating))


cdef inline void lstm_adjoint(
    bint plain,
    const floating* tape, Py_ssize_t H,                              # IN i, f, g, o, c', H apart
    const floating* slopes,                                          # IN of i, f, g, o, h; and h(c') for tanh(c')
    const floating* c, const floating* dy,                           # IN the old cell state; dL/dy or NULL
    floating* dh,                                                    # IN/OUT -> 0
    floating* dc,                                                    # IN/OUT dc' -> dc
    floating* da,                                                    # OUT da_i, da_f, da_g, da_o, H apart
    Py_ssize_t count,
) noexcept nogil:
    cdef floating out[5][LANES]
    cdef floating k[CONSTANTS]
    cdef floating i, f, g, o, tanh_c, dh_new, dc_new, zero = 0.0
    cdef Py_ssize_t j
    load_constants(&k[0])
    for j in range(count):
        i, f, g, o = tape[j], tape[H + j], tape[2 * H + j], tape[3 * H + j]
        tanh_c = tanh(tape[4 * H + j], &k[0]) if plain else slopes[5 * LANES + j]
        dh_new = arriving(dh, dy, j)
        dc_new = dc[j] + dh_new * o * slope_of_tanh(plain, tanh_c, slopes, 4 * LANES + j)           # 6b
        out[0][j] = dc_new * g * slope_of_sigmoid(plain, i, slopes, j)                              # 5a, 1
        out[1][j] = dc_new * c[j] * slope_of_sigmoid(plain, f, slopes, LANES + j)                   # 5b, 2
        out[2][j] = dc_new * i * slope_of_tanh(plain, g, slopes, 2 * LANES + j)                     # 5c, 3
        out[3][j] = dh_new * tanh_c * slope_of_sigmoid(plain, o, slopes, 3 * LANES + j)             # 6a, 4
        out[4][j] = dc_new * f                                                                      # 5d
    for j in range(4):
        memcpy(da + j * H, &out[j][0], count * sizeof(floating))
    memcpy(dc, &out[4][0], count * sizeof(floating))
    for j in range(count):
        dh[j] = zero
