"""Backpropagation through time: products are tiles in float32, SciPy's BLAS in float64; the rest is typed loops.

L is the loss, dv stands for dL/dv, a_v for what goes into the activation of gate v. Each cell's file has its equations
with their adjoints (_gru.pxd, _rnn.pxd, _lstm.pxd), which give the gates' da, and the part of dh that does not come
through U. What all have in common, with da_h the part of da whose gates have U h in them (GRU: r, z, q; with
reset_after=False r, z):

    A   dh += da_h U                            per step                    _through_time.pxd
    B   dW = sum_t da^T x,  db = sum_t da       for many steps at once      _parameter_gradients.pxd
    C   dU = sum_t da_h^T h,  dc = sum_t da_h   for many steps at once (3' of a GRU: dU_n = sum_t da_n^T q)
    D   dx = da W                               for many steps at once      _through_time.pxd

A GRU's gates lie in `da` as n, r, z, q, so that da_h is one matrix in the order of U's rows.
A and D know one row of the batch at a time, B and C one gate: so several threads first share out the rows and then the
gates. This file has the classes. Compiled once per ISA (setup.py), in one module with the engine blas.
"""

cimport cython
cimport numpy as cnp
from cgru.engines._activations cimport RELU, SIGMOID, TANH, activation_of, activations_of
from cgru.engines._adjoints cimport Pass, other_adjoint
from cgru.engines._backward_products cimport Products
from cgru.engines._cells cimport GRU, LSTM, RNN
from cgru.engines._interrupt cimport raise_for
from cgru.engines._linear_adjoint cimport LinearPass, linear_parameters, linear_rows_back, needs_da
from cgru.engines._outer cimport add_outer
from cgru.engines._panels cimport Panels
from cgru.engines._parameter_gradients cimport parameter_gradients
from cgru.engines._slopes cimport Slopes, slopes_of
from cgru.engines._target cimport ROWS
from cgru.engines._through_time cimport rows_back
from cgru.engines._transposed cimport empty_panels, fill_panels, panels_size, times_panels
from libc.stdint cimport uintptr_t

import numpy as np

cnp.import_array()


cdef void times(
    const Panels* panels, Py_ssize_t rows, const float* a, Py_ssize_t lda, float* out, Py_ssize_t ldo
) noexcept nogil:
    times_panels(panels, rows, a, lda, out, ldo)


cdef void outer(
    Py_ssize_t M, Py_ssize_t N, Py_ssize_t rows, const float* A, Py_ssize_t lda, const float* B, Py_ssize_t ldb,
    bint first, float* C, Py_ssize_t ldc, float* scratch
) noexcept nogil:
    add_outer(M, N, rows, A, lda, B, ldb, first, C, ldc, scratch)


cdef Slopes all_slopes() noexcept:
    cdef Slopes slopes
    slopes.of_float, slopes.of_double = slopes_of[float], slopes_of[double]
    return slopes


cdef float* numbers(Py_ssize_t count, list kept) except NULL:
    """Room for so many float32, from a cache line on, which lives as long as what is kept."""
    cdef cnp.ndarray memory = np.empty(count + 16, np.float32)
    kept.append(memory)
    return <float*>((<uintptr_t>cnp.PyArray_DATA(memory) + 63) // 64 * 64)


cdef class Adjoint:
    """The backward pass of one direction of a layer.

    Parameters
    ----------
    w_ih, w_hh, b_ih, b_hh, kind, reset_after, f, g, h, clip
        As of the forward direction (see `blas.Direction`); the matrices are kept, not copied.

    Attributes
    ----------
    width : int
        Numbers of scratch memory for each row of each step.
    slack : int
        Numbers of it behind all rows.
    """

    cdef Pass layer
    cdef bint is_double
    cdef list kept
    cdef readonly Py_ssize_t width, slack

    def __init__(
        self, cnp.ndarray w_ih, cnp.ndarray w_hh, cnp.ndarray b_ih, cnp.ndarray b_hh,
        *, int kind=GRU, bint reset_after=True, f=(SIGMOID, 0.0, 0.0), g=(TANH, 0.0, 0.0), h=(TANH, 0.0, 0.0),
        double clip=0.0,
    ):
        cdef Py_ssize_t H = w_hh.shape[1]
        cdef Pass* p = &self.layer
        self.kept = [w_ih, w_hh]
        self.is_double = cnp.PyArray_TYPE(w_ih) == cnp.NPY_DOUBLE
        p.kind = kind
        p.K, p.H = w_ih.shape[1], H
        p.act, p.slopes = activations_of(f, g, h, clip), all_slopes()
        p.reset_after, p.relu = reset_after, g[0] == RELU
        # as Config.is_plain has it
        p.plain = p.act.plain or (kind == RNN and p.relu and clip == 0)
        p.other_float, p.other_double = other_adjoint[float], other_adjoint[double]
        p.W, p.U = cnp.PyArray_DATA(w_ih), cnp.PyArray_DATA(w_hh)
        if kind == GRU:
            p.width, p.first = (4 if reset_after else 3) * H, H
            p.G_h, p.G_i = (3 if reset_after else 2) * H, 2 * H
        else:
            p.width = p.G_h = p.G_i = w_hh.shape[0]
            p.first = 0
        self.width, self.slack = p.width, ROWS
        if not self.is_double:
            pack(p, self.kept)

    def begin(
        self, cnp.ndarray x, cnp.ndarray y, tape, lengths, Py_ssize_t column, bint reverse, dy, tuple states,
        tuple dstates, dx, bint add_dx, grads, cnp.ndarray da,
    ):
        """An `AdjointPass`: the gradients of one pass; for the arguments see `begin` in protocols.py.

        Everything is C-contiguous and checked by the caller: x (T, N, K), y and dy (T, N, D * H), tape (T, N, planes *
        H), lengths (N,), states and dstates (N, H) each, dx (T, N, K).
        """
        cdef AdjointPass one = AdjointPass.__new__(AdjointPass)
        cdef Pass* p = &one.p
        cdef cnp.ndarray dW, dU, db, dc
        cdef Py_ssize_t offset = column * self.layer.H * cnp.PyArray_ITEMSIZE(x)
        p[0] = self.layer
        one.is_double = self.is_double
        one.kept = (self, x, y, tape, lengths, dy, states, dstates, dx, tuple(grads), da)
        p.T, p.N = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
        p.reverse, p.add_dx = reverse, add_dx
        p.y, p.y_n = cnp.PyArray_BYTES(y) + offset, cnp.PyArray_DIM(y, 2)
        p.x, p.da = cnp.PyArray_DATA(x), cnp.PyArray_DATA(da)
        p.lengths, p.dy, p.dx, p.tape, p.tape_width = NULL, NULL, NULL, p.y, 0
        if lengths is not None:
            p.lengths = <const cnp.intp_t*>cnp.PyArray_DATA(lengths)
        if tape is not None:
            p.tape, p.tape_width = cnp.PyArray_DATA(tape), cnp.PyArray_DIM(tape, 2)
        if dy is not None:
            p.dy = cnp.PyArray_BYTES(dy) + offset
        if dx is not None:
            p.dx = cnp.PyArray_DATA(dx)
        p.h_0, p.dh = cnp.PyArray_DATA(states[0]), cnp.PyArray_DATA(dstates[0])
        if p.kind == LSTM:
            p.c_0, p.dc_n = cnp.PyArray_DATA(states[1]), cnp.PyArray_DATA(dstates[1])
        dW, dU, db, dc = grads
        p.dW, p.dU, p.db, p.dc = cnp.PyArray_DATA(dW), cnp.PyArray_DATA(dU), cnp.PyArray_DATA(db), cnp.PyArray_DATA(dc)
        return one


cdef void pack(Pass* p, list kept):
    """Panels of float32 weights."""
    cdef Py_ssize_t H = p.H, K = p.K, G = p.G_i + H if p.kind == GRU else p.G_i
    cdef const float* W = <const float*>p.W
    cdef const float* U = <const float*>p.U
    cdef bint before = p.kind == GRU and not p.reset_after
    cdef Py_ssize_t size = panels_size(p.G_h, H), size_n = panels_size(H, H) if before else 0
    cdef float* memory = numbers(size + size_n + panels_size(G, K), kept)
    cdef Products* products = &p.products
    products.times, products.outer = times, outer
    products.U = empty_panels(memory, p.G_h, H)
    fill_panels(&products.U, 0, p.G_h, U, H)
    if before:
        products.U_n = empty_panels(memory + size, H, H)
        fill_panels(&products.U_n, 0, H, U + 2 * H * H, H)
    products.W = empty_panels(memory + size + size_n, G, K)
    fill_panels(&products.W, p.first, p.G_i, W, K)
    if p.kind == GRU:                   # n is first in da
        fill_panels(&products.W, 0, H, W + 2 * H * K, K)


@cython.auto_pickle(False)
cdef class Begun:
    """One pass, begun: first `rows` of all rows, then `parameters` of all parts, each once and in any threads."""

    cdef bint is_double
    cdef tuple kept

    def rows(self, Py_ssize_t begin, Py_ssize_t end):
        """da, dx and the states' gradients of the rows begin..end of the batch."""
        cdef int failed
        with nogil:
            failed = self.back(begin, end)
        if failed:
            raise_for(failed, "gradients of rows")

    def parameters(self, Py_ssize_t part, Py_ssize_t parts):
        """Part number `part` of so many of the gradients of weights and biases."""
        cdef int failed
        with nogil:
            failed = self.sums(part, parts)
        if failed:
            raise_for(failed, "sums of gradients")

    # 0, NO_MEMORY or INTERRUPTED
    cdef int back(self, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        return 0

    cdef int sums(self, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
        return 0


cdef class AdjointPass(Begun):
    """Of an `Adjoint`."""

    cdef Pass p

    cdef int back(self, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        if self.is_double:
            return rows_back[double](&self.p, begin, end, NULL)
        return rows_back[float](&self.p, begin, end, NULL)

    cdef int sums(self, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
        if self.is_double:
            return parameter_gradients[double](&self.p, part, parts, NULL)
        return parameter_gradients[float](&self.p, part, parts, NULL)


cdef class LinearAdjoint:
    """The backward pass of a Linear (_linear.pxd).

    Parameters
    ----------
    weight : ndarray
        (O, K), C-contiguous; kept, not copied.
    g : (code, alpha, beta)
        Its activation.

    Attributes
    ----------
    width, slack : int
        As of an `Adjoint`; both 0 where dy can serve as da.
    """

    cdef LinearPass layer
    cdef bint is_double
    cdef list kept
    cdef readonly Py_ssize_t width, slack

    def __init__(self, cnp.ndarray weight, g):
        cdef LinearPass* p = &self.layer
        self.kept, self.is_double = [weight], cnp.PyArray_TYPE(weight) == cnp.NPY_DOUBLE
        p.act, p.slopes, p.W = activation_of(g), all_slopes(), cnp.PyArray_DATA(weight)
        p.G, p.K = cnp.PyArray_DIM(weight, 0), cnp.PyArray_DIM(weight, 1)
        if needs_da(&p.act, p.G):
            self.width, self.slack = p.G, ROWS
        if not self.is_double:
            p.products.times, p.products.outer = times, outer
            p.products.W = empty_panels(numbers(panels_size(p.G, p.K), self.kept), p.G, p.K)
            fill_panels(&p.products.W, 0, p.G, <const float*>p.W, p.K)

    def begin(
        self, cnp.ndarray x, cnp.ndarray a, cnp.ndarray y, cnp.ndarray dy, dx, cnp.ndarray dW, cnp.ndarray db,
        cnp.ndarray da,
    ):
        """A `LinearAdjointPass` over M rows; everything is C-contiguous and checked by the caller.

        Parameters
        ----------
        x : ndarray
            (M, K).
        a, y, dy : ndarray
            (M, O): before the activation, behind it, and dL/dy.
        dx : ndarray or None
            (M, K): overwritten.
        dW, db : ndarray
            (O, K), (O,): overwritten.
        da : ndarray
            At least M * width + slack numbers of scratch memory.
        """
        cdef LinearAdjointPass one = LinearAdjointPass.__new__(LinearAdjointPass)
        cdef LinearPass* p = &one.p
        p[0] = self.layer
        one.is_double, one.kept = self.is_double, (self, x, a, y, dy, dx, dW, db, da)
        p.M, p.x, p.a, p.y = cnp.PyArray_DIM(x, 0), cnp.PyArray_DATA(x), cnp.PyArray_DATA(a), cnp.PyArray_DATA(y)
        p.dy, p.dW, p.db = cnp.PyArray_DATA(dy), cnp.PyArray_DATA(dW), cnp.PyArray_DATA(db)
        p.da, p.dx = cnp.PyArray_DATA(da if self.width else dy), NULL
        if dx is not None:
            p.dx = cnp.PyArray_DATA(dx)
        return one


cdef class LinearAdjointPass(Begun):
    """Of a `LinearAdjoint`."""

    cdef LinearPass p

    cdef int back(self, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
        if self.is_double:
            return linear_rows_back[double](&self.p, begin, end, NULL)
        return linear_rows_back[float](&self.p, begin, end, NULL)

    cdef int sums(self, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
        if self.is_double:
            return linear_parameters[double](&self.p, part, parts, NULL)
        return linear_parameters[float](&self.p, part, parts, NULL)
