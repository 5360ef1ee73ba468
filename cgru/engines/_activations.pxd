"""The activations: which one a code stands for, and a cell's, for one number at a time.

sigmoid and tanh of a cell that has no others are straight vector code; the others are called number by number.
"""

from cgru.engines._functions cimport elu, gelu, gelu_tanh, magnitude, sigmoid, silu, softplus, tanh
from cgru.engines._target cimport fma
from cython cimport floating


cdef enum:                              # in the order of cgru/activations.py, which has the formulas
    SIGMOID, TANH, HARD_SIGMOID, RELU, LINEAR, SOFTSIGN, LEAKY_RELU, ELU, SOFTPLUS, SCALED_TANH,
    SILU, GELU, GELU_TANH,
    SOFTMAX                             # of a whole row (_softmax.pxd): of a Linear alone, and never in `activate`


cdef struct Activation


cdef struct Activation:
    int code                            # one of the above
    double alpha, beta
    # `activate` for one number: a call, since inlined a dozen cases for each gate would be most of a module
    float (*of_float)(float x, const Activation* act, const float* k) noexcept nogil
    double (*of_double)(double x, const Activation* act, const double* k) noexcept nogil


cdef struct Activations:                # of one cell
    Activation f, g, h                  # of gates, candidate, and an LSTM's output; see cgru/cells.py
    double clip                         # the arguments of f and g are clamped to +-clip; 0: not
    bint plain                          # sigmoid, tanh and tanh without clip


cdef inline floating activate(floating x, const Activation* act, const floating* k) noexcept nogil:
    cdef floating alpha = <floating>act.alpha, beta = <floating>act.beta, zero = 0.0, one = 1.0, p
    if act.code == HARD_SIGMOID:
        x = fma(alpha, x, beta)
        x = zero if x < zero else x
        return one if x > one else x
    if act.code == RELU:
        return zero if x < zero else x
    if act.code == LINEAR:
        return fma(alpha, x, beta)
    if act.code == SOFTSIGN:
        p = magnitude(x)
        if p > <floating>1e30:      # inf / inf would be NaN
            return one if x > zero else -one
        return x / (one + p)
    if act.code == LEAKY_RELU:
        return alpha * x if x < zero else x
    if act.code == ELU:
        return elu(alpha, x, k)
    if act.code == SOFTPLUS:
        return softplus(x, k)
    if act.code == SCALED_TANH:
        return alpha * tanh(beta * x, k)
    if act.code == SILU:
        return silu(x, k)
    if act.code == GELU:
        return gelu(x, k)
    if act.code == GELU_TANH:
        return gelu_tanh(x, k)
    return tanh(x, k) if act.code == TANH else sigmoid(x, k)


cdef inline floating apply(floating x, const Activation* act, double clip, const floating* k) noexcept nogil:
    """act of x clamped to +-clip."""
    cdef floating high = <floating>clip
    if clip > 0:
        x = high if x > high else x
        x = -high if x < -high else x
    if floating is float:
        return act.of_float(x, act, k)
    else:
        return act.of_double(x, act, k)


# `plain` is a compile-time constant at every call: sigmoid, tanh and tanh without a clip make straight vector code.

cdef inline floating apply_f(bint plain, const Activations* act, floating x, const floating* k) noexcept nogil:
    return sigmoid(x, k) if plain else apply(x, &act.f, act.clip, k)


cdef inline floating apply_g(bint plain, const Activations* act, floating x, const floating* k) noexcept nogil:
    return tanh(x, k) if plain else apply(x, &act.g, act.clip, k)


cdef inline floating apply_h(bint plain, const Activations* act, floating x, const floating* k) noexcept nogil:
    return tanh(x, k) if plain else apply(x, &act.h, 0, k)      # c is no sum of products: ONNX Runtime leaves it too


cdef inline Activation activation_of(given):
    cdef Activation act
    act.code, act.alpha, act.beta = given
    act.of_float, act.of_double = activate[float], activate[double]
    return act


cdef inline Activations activations_of(f, g, h, double clip):
    """From (code, alpha, beta) of f, g and h, and a clip, 0 for none."""
    cdef Activations act
    cdef Activation each[3]
    cdef int i
    for i, given in enumerate((f, g, h)):       # in a loop: three of it would be some KB of every module
        each[i] = activation_of(given)
    act.f, act.g, act.h, act.clip = each[0], each[1], each[2], clip
    act.plain = act.f.code == SIGMOID and act.g.code == TANH and act.h.code == TANH and clip == 0
    return act
