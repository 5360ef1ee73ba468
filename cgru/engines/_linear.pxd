"""A Linear: y = g(W x + b), row by row. It keeps no state, so its steps know nothing of each other.

g is elementwise, or softmax, which goes over the row. Backward, with a = W x + b and dv for dL/dv:

    da = dy g'(a)                        dW = sum_t da^T x      db = sum_t da      dx = da W

The tape keeps a of every step.
"""

from cgru.engines._activations cimport (
    ELU, GELU_TANH, LINEAR as IDENTITY, RELU, SIGMOID, SILU, SOFTMAX, TANH, Activation,
)
from cgru.engines._functions cimport CONSTANTS, elu, gelu_tanh, load_constants, sigmoid, silu, tanh
from cgru.engines._slopes cimport Slopes, take_slopes
from cgru.engines._softmax cimport softmax_row, softmax_slopes_row
from cython cimport floating
from libc.string cimport memcpy


cdef inline void linear_rows(
    const Activation* act, Py_ssize_t count, Py_ssize_t N,
    const floating* a, Py_ssize_t lda,                               # IN the sums of `count` units, rows lda apart
    floating* const* y,                                              # OUT (O,) each
) noexcept nogil:
    """g of N rows."""
    cdef floating k[CONSTANTS]
    cdef Py_ssize_t i
    load_constants(&k[0])
    for i in range(N):
        linear_row(act, a + i * lda, y[i], count, &k[0])


cdef inline void linear_row(
    const Activation* act, const floating* a, floating* y, Py_ssize_t count, const floating* k
) noexcept nogil:
    """The common ones as loops of their own, which become vector code."""
    cdef Py_ssize_t j
    cdef floating zero = 0.0
    if act.code == RELU:
        for j in range(count):
            y[j] = zero if a[j] < zero else a[j]
    elif act.code == SIGMOID:
        for j in range(count):
            y[j] = sigmoid(a[j], k)
    elif act.code == TANH:
        for j in range(count):
            y[j] = tanh(a[j], k)
    elif floating is float and act.code == ELU:
        for j in range(count):
            y[j] = elu(<floating>act.alpha, a[j], k)
    elif floating is float and act.code == SILU:
        for j in range(count):
            y[j] = silu(a[j], k)
    elif floating is float and act.code == GELU_TANH:
        for j in range(count):
            y[j] = gelu_tanh(a[j], k)
    elif act.code == SOFTMAX:
        memcpy(y, a, count * sizeof(floating))
        softmax_row(y, count, k)
    elif act.code == IDENTITY and act.alpha == 1 and act.beta == 0:
        memcpy(y, a, count * sizeof(floating))
    else:
        for j in range(count):
            y[j] = act.of_float(a[j], act, k) if floating is float else act.of_double(a[j], act, k)


cdef inline void linear_adjoint_row(
    const Activation* act, const Slopes* slopes,
    const floating* a, const floating* y, const floating* dy,        # IN
    floating* da,                                                    # OUT
    Py_ssize_t count,
) noexcept nogil:
    """da = dy g'(a), of all units of a row."""
    cdef Py_ssize_t j
    if act.code == SOFTMAX:
        softmax_slopes_row(y, dy, da, count)
        return
    take_slopes(slopes, act, 0, count, a, y, da)
    for j in range(count):
        da[j] *= dy[j]
