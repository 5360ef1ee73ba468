"""The plain RNN, forward and backward: one block of LANES hidden units at a time (as in _gru.pxd).

a = W x + b and b = U h + c are the two sums; g is tanh or relu. dv stands for dL/dv.

    1   h' = g(W x + b + U h + c)               da = dh' g'(a): 1 - h'^2 for tanh, h' > 0 for relu;  dh = 0

There is no tape: h' is y. (dh has no direct part: all of it comes through U.)
"""

from cgru.engines._activations cimport Activations, apply_g
from cgru.engines._blocks cimport arriving
from cgru.engines._target cimport LANES
from cython cimport floating
from libc.string cimport memcpy


cdef inline void rnn_block(
    bint plain, const Activations* act, const floating* k,
    const floating* a, const floating* b,                            # IN the sums
    floating* h_new,                                                 # OUT
) noexcept nogil:
    """Line 1, all LANES units."""
    cdef floating out[LANES]
    cdef Py_ssize_t j
    for j in range(LANES):
        out[j] = apply_g(plain, act, a[j] + b[j], k)
    memcpy(h_new, &out[0], LANES * sizeof(floating))


cdef inline void rnn_adjoint(
    bint relu,
    const floating* h_new, const floating* dy,                       # IN h'; dL/dy or NULL
    floating* dh,                                                    # IN/OUT -> 0
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
        out[j] = arriving(dh, dy, j) * slope                            # 1
    memcpy(da, &out[0], count * sizeof(floating))
    for j in range(count):
        dh[j] = zero
