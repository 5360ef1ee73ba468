"""Backpropagation through time: every product is SciPy's BLAS, the rest is typed loops; float32 and float64.

L is the loss, dv stands for dL/dv, a_v for what goes into the activation of gate v. Each cell's file has its equations
with their adjoints (_gru.pxd, _rnn.pxd, _lstm.pxd), which give the gates' da, and the part of dh that does not come
through U. What all have in common, with da_h the part of da whose gates have U h in them (GRU: r, z, q; with
reset_after=False r, z):

    A   dh += da_h U                            per step
    B   dW = sum_t da^T x,  db = sum_t da       for all steps at once
    C   dU = sum_t da_h^T h,  dc = sum_t da_h   for all steps at once (3' of a GRU: dU_n = sum_t da_n^T q)
    D   dx = da W                               for all steps at once

A GRU's gates lie in `da` as n, r, z, q, so that da_h is one matrix in the order of U's rows.
Compiled once per ISA (setup.py).
"""

cimport numpy as cnp
from cgru.engines._activations cimport RELU, SIGMOID, TANH
from cgru.engines._adjoints cimport Pass, gates_adjoint_row, reset_adjoint_row
from cgru.engines._blas cimport gemm_nn, gemm_tn
from cgru.engines._cells cimport GRU, LSTM
from cython cimport floating
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cnp.import_array()


cdef class Adjoint:
    """The backward pass of one direction of a layer.

    Parameters
    ----------
    w_ih, w_hh, b_ih, b_hh, kind, reset_after, f, g, clip
        As of the forward direction (see `blas.Direction`); kept, not copied. The activations must be sigmoid and tanh,
        or g relu in an RNN, without a clip: f and clip are not looked at.
    """

    cdef Pass layer
    cdef bint is_double
    cdef tuple arrays

    def __init__(
        self, cnp.ndarray w_ih, cnp.ndarray w_hh, cnp.ndarray b_ih, cnp.ndarray b_hh,
        *, int kind=GRU, bint reset_after=True, f=(SIGMOID, 0.0, 0.0), g=(TANH, 0.0, 0.0), double clip=0.0,
    ):
        cdef Py_ssize_t H = w_hh.shape[1]
        self.arrays = (w_ih, w_hh)
        self.is_double = cnp.PyArray_TYPE(w_ih) == cnp.NPY_DOUBLE
        self.layer.kind = kind
        self.layer.K, self.layer.H = w_ih.shape[1], H
        self.layer.reset_after, self.layer.relu = reset_after, g[0] == RELU
        self.layer.W, self.layer.U = cnp.PyArray_DATA(w_ih), cnp.PyArray_DATA(w_hh)
        if self.layer.kind == GRU:
            self.layer.width, self.layer.tape_width, self.layer.first = (4 if reset_after else 3) * H, 4 * H, H
            self.layer.G_h, self.layer.G_i = (3 if reset_after else 2) * H, 2 * H
        else:
            self.layer.width = self.layer.G_h = self.layer.G_i = w_hh.shape[0]
            self.layer.tape_width, self.layer.first = 5 * H if self.layer.kind == LSTM else 0, 0

    def run(
        self, cnp.ndarray x, cnp.ndarray y, tape, lengths, Py_ssize_t column, bint reverse, dy, states, dstates,
        dx, bint add_dx, grads,
    ):
        """Gradients of one pass; everything is C-contiguous and checked by the caller.

        Parameters
        ----------
        x, y, tape : ndarray
            (T, N, K), (T, N, D * H), (T, N, 4H or 5H) of the forward pass; zero past a row's length. An RNN's
            tape is None. D is the number of directions.
        lengths : ndarray or None
            (N,) falling.
        column : int
            Which H columns of y and dy are this direction's: 0 for the first H, 1 for the second.
        dy : ndarray or None
            (T, N, D * H).
        states, dstates : tuple of ndarray
            (N, H) each: h_0 (and c_0); dL/dh_n (and dL/dc_n), replaced by dL/dh_0 (and dL/dc_0).
        dx : ndarray or None
            (T, N, K); `add_dx` adds to what is there.
        grads : sequence of ndarray
            dw_ih, dw_hh, db_ih, db_hh: overwritten.
        """
        cdef Pass p = self.layer
        cdef Py_ssize_t offset = column * p.H * cnp.PyArray_ITEMSIZE(x)
        cdef int failed
        cdef cnp.ndarray dW, dU, db, dc, h_0 = states[0], dh = dstates[0]
        p.T, p.N = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
        p.reverse, p.add_dx = reverse, add_dx
        p.y, p.y_n = cnp.PyArray_BYTES(y) + offset, cnp.PyArray_DIM(y, 2)
        p.lengths, p.dy, p.dx, p.tape = NULL, NULL, NULL, p.y
        if lengths is not None:
            p.lengths = <const cnp.intp_t*>cnp.PyArray_DATA(lengths)
        p.x, p.h_0 = cnp.PyArray_DATA(x), cnp.PyArray_DATA(h_0)
        if tape is not None:
            p.tape = cnp.PyArray_DATA(tape)
        if dy is not None:
            p.dy = cnp.PyArray_BYTES(dy) + offset
        if dx is not None:
            p.dx = cnp.PyArray_DATA(dx)
        p.dh = cnp.PyArray_DATA(dh)
        if p.kind == LSTM:
            p.c_0, p.dc_n = cnp.PyArray_DATA(states[1]), cnp.PyArray_DATA(dstates[1])
        dW, dU, db, dc = grads
        p.dW, p.dU, p.db, p.dc = cnp.PyArray_DATA(dW), cnp.PyArray_DATA(dU), cnp.PyArray_DATA(db), cnp.PyArray_DATA(dc)
        with nogil:
            if self.is_double:
                failed = backpropagate[double](&p)
            else:
                failed = backpropagate[float](&p)
        if failed:
            raise MemoryError("no memory for the gate gradients of all steps")


cdef int backpropagate(const Pass* p, floating* kind=NULL) noexcept nogil:
    """All steps, last first, then the products over all of them: 0, or -1 where there is no memory.

    Scratch: da (T, N, width); dq (N, H), later the first steps' da (N, width).
    """
    cdef Py_ssize_t rows = p.T * p.N, s, t
    cdef floating* da = <floating*>malloc((rows + p.N) * p.width * sizeof(floating))
    if da == NULL:
        return -1
    cdef floating* scratch = da + rows * p.width
    for s in range(p.T):
        t = s if p.reverse else p.T - 1 - s
        step_back(p, t, da + t * p.N * p.width, scratch)
    parameter_gradients(p, da, scratch)
    if p.dx != NULL:
        input_gradients(p, da)
    free(da)
    return 0


cdef inline Py_ssize_t rows_at(const Pass* p, Py_ssize_t t) noexcept nogil:
    """How many rows run at time t; they are the first ones."""
    cdef Py_ssize_t active = p.N
    if p.lengths != NULL:
        while active > 0 and p.lengths[active - 1] <= t:
            active -= 1
    return active


cdef void step_back(const Pass* p, Py_ssize_t t, floating* da, floating* dq) noexcept nogil:
    """The cell's lines and A, for the step at time t: da (N, width), dh (N, H), for an LSTM dc (N, H)."""
    cdef Py_ssize_t H = p.H, width = p.width, active = rows_at(p, t), i
    cdef int h = <int>H, rows = <int>active
    cdef floating* dh = <floating*>p.dh
    cdef const floating* U = <const floating*>p.U
    memset(da + active * width, 0, (p.N - active) * width * sizeof(floating))
    if active == 0:
        return
    for i in range(active):
        gates_adjoint_row(p, t, i, da + i * width)
    if p.kind == GRU and not p.reset_after:
        # dq[N,H] = da_n[N,H] U_n
        gemm_nn(rows, h, h, da, <int>width, U + 2 * H * H, h, <floating>0.0, dq, h)
        for i in range(active):
            reset_adjoint_row(p, t, i, dq + i * H, da + i * width + H)
    # dh[N,H] += da_h[N,G_h] U
    gemm_nn(rows, h, <int>p.G_h, da + p.first, <int>width, U, h, <floating>1.0, dh, h)


cdef void parameter_gradients(const Pass* p, const floating* da, floating* starts) noexcept nogil:
    """Lines B and C."""
    cdef Py_ssize_t H = p.H, rows = p.T * p.N, width = p.width, first = p.first, G_i = p.G_i, G_h = p.G_h
    cdef int h = <int>H, k = <int>p.K, w = <int>width, R = <int>rows
    cdef floating* dW = <floating*>p.dW
    cdef floating* dU = <floating*>p.dU
    cdef floating* db = <floating*>p.db
    cdef floating* dc = <floating*>p.dc
    cdef const floating* x = <const floating*>p.x
    # dW[G_i,K] = da_i[TN,G_i]^T x[TN,K]
    gemm_tn(<int>G_i, k, R, da + first, w, x, k, <floating>0.0, dW, k)
    recurrent_gradients(p, da, starts)
    column_sums(rows, G_h, da + first, width, dc)
    memcpy(db, dc, G_i * sizeof(floating))
    if p.kind != GRU:
        return
    # dW_n[H,K] = da_n[TN,H]^T x[TN,K]
    gemm_tn(h, k, R, da, w, x, k, <floating>0.0, dW + 2 * H * p.K, k)
    column_sums(rows, H, da, width, db + 2 * H)
    if not p.reset_after:
        # dU_n[H,H] = da_n[TN,H]^T q[TN,H]
        gemm_tn(
            h, h, R, da, w, <const floating*>p.tape + 3 * H, <int>p.tape_width, <floating>0.0, dU + 2 * H * H, h
        )
        memcpy(dc + 2 * H, db + 2 * H, H * sizeof(floating))


cdef void recurrent_gradients(const Pass* p, const floating* da, floating* starts) noexcept nogil:
    """dU[G_h,H] = sum over steps da_h^T h: y stands for h, one step apart, and h_0 at each row's first step."""
    cdef Py_ssize_t N = p.N, width = p.width, i, length, t
    cdef Py_ssize_t ahead = 0 if p.reverse else N, behind = N - ahead
    cdef int h = <int>p.H, G = <int>p.G_h, w = <int>width
    cdef const floating* y = <const floating*>p.y
    cdef floating* dU = <floating*>p.dU
    for i in range(N):
        length = p.T if p.lengths == NULL else p.lengths[i]
        t = length - 1 if p.reverse and length > 0 else 0       # da is zero where length is
        memcpy(starts + i * width, da + (t * N + i) * width, width * sizeof(floating))
    # dU[G_h,H] = da_h[N,G_h]^T h_0[N,H] + da_h[(T-1)N,G_h]^T y[(T-1)N,H]
    gemm_tn(G, h, <int>N, starts + p.first, w, <const floating*>p.h_0, h, <floating>0.0, dU, h)
    if p.T > 1:
        gemm_tn(
            G, h, <int>((p.T - 1) * N), da + ahead * width + p.first, w, y + behind * p.y_n, <int>p.y_n,
            <floating>1.0, dU, h,
        )


cdef void input_gradients(const Pass* p, const floating* da) noexcept nogil:
    """Line D."""
    cdef int k = <int>p.K, h = <int>p.H, w = <int>p.width, R = <int>(p.T * p.N)
    cdef const floating* W = <const floating*>p.W
    cdef floating* dx = <floating*>p.dx
    # dx[TN,K] = da_i[TN,G_i] W, for a GRU + da_n[TN,H] W_n
    gemm_nn(R, k, <int>p.G_i, da + p.first, w, W, k, <floating>(1.0 if p.add_dx else 0.0), dx, k)
    if p.kind == GRU:
        gemm_nn(R, k, h, da, w, W + 2 * p.H * p.K, k, <floating>1.0, dx, k)


cdef void column_sums(
    Py_ssize_t rows, Py_ssize_t columns, const floating* a, Py_ssize_t lda, floating* sums
) noexcept nogil:
    cdef Py_ssize_t i, j
    memset(sums, 0, columns * sizeof(floating))
    for i in range(rows):
        for j in range(columns):
            sums[j] += a[i * lda + j]
