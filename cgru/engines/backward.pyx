"""Backpropagation through time: products are SciPy's BLAS (_blas.pxd), the rest is typed loops; float32 and float64.

L is the loss, dv stands for dL/dv, a_v for what goes into the activation of gate v. Each cell's file has its equations
with their adjoints (_gru.pxd, _rnn.pxd, _lstm.pxd), which give the gates' da, and the part of dh that does not come
through U. What all have in common, with da_h the part of da whose gates have U h in them (GRU: r, z, q; with
reset_after=False r, z):

    A   dh += da_h U                            per step
    B   dW = sum_t da^T x,  db = sum_t da       for many steps at once
    C   dU = sum_t da_h^T h,  dc = sum_t da_h   for many steps at once (3' of a GRU: dU_n = sum_t da_n^T q)
    D   dx = da W                               for many steps at once

A GRU's gates lie in `da` as n, r, z, q, so that da_h is one matrix in the order of U's rows.
Compiled once per ISA (setup.py).
"""

cimport numpy as cnp
from cgru.engines._activations cimport RELU, SIGMOID, TANH, Activation, activation_of
from cgru.engines._adjoints cimport BLOCK, Pass, gates_adjoint_row, reset_adjoint_row
from cgru.engines._blas cimport product_nn, product_tn
from cgru.engines._cells cimport GRU, LSTM
from cgru.engines._interrupt cimport INTERRUPTED, NO_MEMORY, Watch, interrupted, raise_for
from cgru.engines._linear_adjoint cimport add_columns, linear_back
from cython cimport floating
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cnp.import_array()

cdef enum:
    STEPS = 1 << 16                     # numbers of da between questions whether to stop, step by step


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
        *, int kind=GRU, bint reset_after=True, f=(SIGMOID, 0.0, 0.0), g=(TANH, 0.0, 0.0), h=(TANH, 0.0, 0.0),
        double clip=0.0,
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
            raise_for(failed, "the gate gradients of all steps")


cdef class LinearAdjoint:
    """The backward pass of a Linear (_linear.pxd).

    Parameters
    ----------
    weight : ndarray
        (O, K), C-contiguous; kept, not copied.
    g : (code, alpha, beta)
        Its activation.
    """

    cdef object weight
    cdef Activation act

    def __init__(self, cnp.ndarray weight, g):
        self.weight, self.act = weight, activation_of(g)

    def run(
        self, cnp.ndarray x, cnp.ndarray a, cnp.ndarray y, cnp.ndarray dy, dx, cnp.ndarray dW, cnp.ndarray db
    ):
        """Gradients of one pass over M rows; everything is C-contiguous and checked by the caller.

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
        """
        cdef cnp.ndarray weight = self.weight
        cdef void* d = NULL
        cdef Py_ssize_t M = cnp.PyArray_DIM(x, 0), K = cnp.PyArray_DIM(x, 1), G = cnp.PyArray_DIM(y, 1)
        cdef bint is_double = cnp.PyArray_TYPE(weight) == cnp.NPY_DOUBLE
        cdef int failed
        if dx is not None:
            d = cnp.PyArray_DATA(<cnp.ndarray>dx)
        with nogil:
            if is_double:
                failed = linear_back[double](
                    &self.act, M, K, G, <const double*>cnp.PyArray_DATA(weight), <const double*>cnp.PyArray_DATA(x),
                    <const double*>cnp.PyArray_DATA(a), <const double*>cnp.PyArray_DATA(y),
                    <const double*>cnp.PyArray_DATA(dy), <double*>d, <double*>cnp.PyArray_DATA(dW),
                    <double*>cnp.PyArray_DATA(db),
                )
            else:
                failed = linear_back[float](
                    &self.act, M, K, G, <const float*>cnp.PyArray_DATA(weight), <const float*>cnp.PyArray_DATA(x),
                    <const float*>cnp.PyArray_DATA(a), <const float*>cnp.PyArray_DATA(y),
                    <const float*>cnp.PyArray_DATA(dy), <float*>d, <float*>cnp.PyArray_DATA(dW),
                    <float*>cnp.PyArray_DATA(db),
                )
        if failed:
            raise_for(failed, "the gradients before the activation")


cdef int backpropagate(const Pass* p, floating* kind=NULL) noexcept nogil:
    """All steps, last first, then the products over all of them: 0, NO_MEMORY or INTERRUPTED.

    Scratch: da (T, N, width); dq (N, H), later the first steps' da (N, width).
    """
    cdef Py_ssize_t rows = p.T * p.N, s, t, first = 0, count
    cdef Py_ssize_t steps = max(1, STEPS // (p.N * p.width)), block = max(256, BLOCK // p.width)
    cdef floating* da = <floating*>malloc((rows + p.N) * p.width * sizeof(floating))
    if da == NULL:
        return NO_MEMORY
    cdef floating* scratch = da + rows * p.width
    cdef Watch watch = Watch(due=0)
    for s in range(p.T):
        t = s if p.reverse else p.T - 1 - s
        step_back(p, t, da + t * p.N * p.width, scratch)
        if s % steps == steps - 1 and interrupted(&watch):
            free(da)
            return INTERRUPTED
    initial_gradients(p, da, scratch)
    while first < rows:
        count = min(block, rows - first)
        parameter_gradients(p, da, first, count)
        if p.dx != NULL:
            input_gradients(p, da, first, count)
        first += count
        if interrupted(&watch):
            free(da)
            return INTERRUPTED
    bias_gradients(p, <floating*>p.db, <floating*>p.dc)
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
    cdef floating* dh = <floating*>p.dh
    cdef const floating* U = <const floating*>p.U
    memset(da + active * width, 0, (p.N - active) * width * sizeof(floating))
    if active == 0:
        return
    for i in range(active):
        gates_adjoint_row(p, t, i, da + i * width)
    if p.kind == GRU and not p.reset_after:
        # dq[N,H] = da_n[N,H] U_n
        product_nn(active, H, H, da, width, U + 2 * H * H, H, <floating>0.0, dq, H)
        for i in range(active):
            reset_adjoint_row(p, t, i, dq + i * H, da + i * width + H)
    # dh[N,H] += da_h[N,G_h] U
    product_nn(active, H, p.G_h, da + p.first, width, U, H, <floating>1.0, dh, H)


cdef void initial_gradients(const Pass* p, const floating* da, floating* starts) noexcept nogil:
    """Of line C the steps whose h is h_0, each row's first one; the rest of B and C is added to what is here."""
    cdef Py_ssize_t N = p.N, width = p.width, H = p.H, i, length, t
    for i in range(N):
        length = p.T if p.lengths == NULL else p.lengths[i]
        t = length - 1 if p.reverse and length > 0 else 0       # da is zero where length is
        memcpy(starts + i * width, da + (t * N + i) * width, width * sizeof(floating))
    # dU[G_h,H] = da_h[N,G_h]^T h_0[N,H]
    product_tn(p.G_h, H, N, starts + p.first, width, <const floating*>p.h_0, H, <floating>0.0, <floating*>p.dU, H)
    memset(p.dc, 0, p.G_h * sizeof(floating))
    if p.kind == GRU:
        memset(<floating*>p.db + 2 * H, 0, H * sizeof(floating))


cdef void parameter_gradients(const Pass* p, const floating* da, Py_ssize_t begin, Py_ssize_t rows) noexcept nogil:
    """Lines B and C of some rows of (T * N): the first ones set dW, the others add to it."""
    cdef Py_ssize_t H = p.H, K = p.K, width = p.width
    cdef const floating* x = <const floating*>p.x + begin * K
    cdef floating* dW = <floating*>p.dW
    cdef floating beta = 0 if begin == 0 else 1
    recurrent_gradients(p, da, begin, rows)
    da += begin * width
    # dW[G_i,K] = da_i[rows,G_i]^T x[rows,K]
    product_tn(p.G_i, K, rows, da + p.first, width, x, K, beta, dW, K)
    add_columns(rows, p.G_h, da + p.first, width, <floating*>p.dc)
    if p.kind != GRU:
        return
    # dW_n[H,K] = da_n[rows,H]^T x[rows,K]
    product_tn(H, K, rows, da, width, x, K, beta, dW + 2 * H * K, K)
    add_columns(rows, H, da, width, <floating*>p.db + 2 * H)
    if not p.reset_after:
        # dU_n[H,H] = da_n[rows,H]^T q[rows,H]
        product_tn(
            H, H, rows, da, width, <const floating*>p.tape + begin * p.tape_width + 3 * H, p.tape_width, beta,
            <floating*>p.dU + 2 * H * H, H,
        )


cdef void recurrent_gradients(const Pass* p, const floating* da, Py_ssize_t begin, Py_ssize_t rows) noexcept nogil:
    """dU[G_h,H] += sum over steps da_h^T h: y stands for h, one step apart; `rows` of the (T-1) * N from `begin` on."""
    cdef Py_ssize_t ahead = 0 if p.reverse else p.N, behind = p.N - ahead
    cdef const floating* y = <const floating*>p.y
    rows = min(rows, (p.T - 1) * p.N - begin)
    if rows > 0:
        # dU[G_h,H] += da_h[rows,G_h]^T y[rows,H]
        product_tn(
            p.G_h, p.H, rows, da + (begin + ahead) * p.width + p.first, p.width, y + (begin + behind) * p.y_n, p.y_n,
            <floating>1.0, <floating*>p.dU, p.H,
        )


cdef void bias_gradients(const Pass* p, floating* db, floating* dc) noexcept nogil:
    """What db and dc have in common, once their sums are there."""
    memcpy(db, dc, p.G_i * sizeof(floating))
    if p.kind == GRU and not p.reset_after:
        memcpy(dc + 2 * p.H, db + 2 * p.H, p.H * sizeof(floating))


cdef void input_gradients(const Pass* p, const floating* da, Py_ssize_t begin, Py_ssize_t rows) noexcept nogil:
    """Line D of some rows of (T * N)."""
    cdef Py_ssize_t K = p.K, H = p.H, width = p.width
    cdef const floating* W = <const floating*>p.W
    cdef floating* dx = <floating*>p.dx + begin * K
    da += begin * width
    # dx[rows,K] = da_i[rows,G_i] W, for a GRU + da_n[rows,H] W_n
    product_nn(rows, K, p.G_i, da + p.first, width, W, K, <floating>(1.0 if p.add_dx else 0.0), dx, K)
    if p.kind == GRU:
        product_nn(rows, K, H, da, width, W + 2 * H * K, K, <floating>1.0, dx, K)
