"""The plain RNN, forward and backward: one block of LANES hidden units at a time (as in _gru.pxd).

a = W x + b and b = U h + c are the two sums; g is tanh or relu, or another one. dv stands for dL/dv.

    1   h' = g(W x + b + U h + c)               da = dh' g'(a): 1 - h'^2 for tanh, h' > 0 for relu;  dh = 0

There is no tape: h' is y. With another activation, or a clip, it keeps what goes into g, before it is clamped. (dh has
no direct part: all of it comes through U.)
"""

from cgru.engines._activations cimport Activations, apply_g
from cgru.engines._blocks cimport arriving, save, slope_of_tanh
from cgru.engines._target cimport LANES
from cython cimport floating
from libc.string cimport memcpy


cdef inline void rnn_block(
    bint plain, bint taped, const Activations* act, const floating* k,
    const floating* a, const floating* b,                            # IN the sums
    floating* h_new,                                                 # OUT
    floating* tape, Py_ssize_t count,                                # OUT maybe a + b, or NULL
) noexcept nogil:
    """Line 1, all LANES units."""
    cdef floating sums[LANES]
    cdef floating out[LANES]
    cdef floating sum_h
    cdef Py_ssize_t j
    for j in range(LANES):
        sum_h = a[j] + b[j]
        out[j] = apply_g(plain, act, sum_h, k)
        if not plain:
            sums[j] = sum_h
    if taped and not plain and tape != NULL:
        save(tape, &sums[0], count)
    memcpy(h_new, &out[0], LANES * sizeof(floating))


cdef inline void rnn_adjoint(
    bint plain, bint relu,                                           # relu: a plain one
    const floating* h_new, const floating* dy,                       # IN h'; dL/dy or NULL
    const floating* slopes,                                          # IN of g
    floating* dh,                                                    # IN/OUT -> 0
    floating* da,                                                    # OUT
    Py_ssize_t count,
) noexcept nogil:
    cdef floating out[LANES]
    cdef floating one = 1.0, zero = 0.0, slope
    cdef Py_ssize_t j
    for j in range(count):
        if plain and relu:
            slope = one if h_new[j] > zero else zero
        else:
            slope = slope_of_tanh(plain, h_new[j], slopes, j)
        out[j] = arriving(dh, dy, j) * slope                            # 1
    memcpy(da, &out[0], count * sizeof(floating))
    for j in range(count):
        dh[j] = zero
