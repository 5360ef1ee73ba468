"""Backpropagation through time: every product is SciPy's BLAS, the rest is typed loops; float32 and float64.

L is the loss, d v stands for dL/dv, a_v for what goes into the activation of gate v, ' for the derivative and
for the new state. The primed lines are reset_after=False. Forward, and each line's adjoint:

    1   r = s(W_r x + b_r + U_r h + c_r)        da_r = dr r (1 - r)
    2   z = s(W_z x + b_z + U_z h + c_z)        da_z = dz z (1 - z)
    3   q = U_n h + c_n                         da_q = dq
        n = tanh(W_n x + b_n + r q)             da_n = dn (1 - n^2)      a;  dr = da_n q   b;  dq = da_n r   c
    3'  q = r h                                 dr = dq h                b;  dh += dq r    c
        n = tanh(W_n x + b_n + U_n q + c_n)     da_n = dn (1 - n^2)      a;  dq = U_n^T da_n
    4   h' = (1 - z) n + z h                    dn = dh' (1 - z)  a;  dz = dh' (h - n)  b;  dh = dh' z  c

and then, with da_h = (da_r, da_z, da_q), or da_h = (da_r, da_z) for the primed lines:

    5   dh += da_h U                            per step
    6   dW = sum_t da^T x,  db = sum_t da       one product for all steps
    7   dU = sum_t da_h^T h,  dc = sum_t da_h   (primed: dU_n = sum_t da_n^T q)
    8   dx = da W                               one product for all steps

Gates lie in `da` as n, r, z, q, so that da_h is one matrix in the order of U's rows.
Compiled once per ISA (setup.py).
"""

cimport numpy as cnp
from cgru.engines._adjoints cimport gru_block, gru_reset_block
from cgru.engines._blas cimport gemm_nn, gemm_tn
from cgru.engines._gates cimport LANES
from cython cimport floating
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cnp.import_array()


cdef struct Pass:
    Py_ssize_t T, N, K, H
    Py_ssize_t width                    # of da: 4H with reset_after, else 3H
    bint reset_after, reverse, add_dx
    const cnp.intp_t* lengths           # (N,), falling; or NULL: every row has T steps
    const void* W                       # (3H, K) rows r, z, n
    const void* U                       # (3H, H)
    const void* x                       # (T, N, K), zero past a row's length, as are y and tape
    const void* h_0                     # (N, H)
    const void* y                       # (T, N, H), rows y_n apart, as those of dy
    const void* tape                    # (T, N, 4H)
    const void* dy                      # (T, N, H), or NULL
    Py_ssize_t y_n
    void* dh                            # (N, H): dL/dh_n -> dL/dh_0
    void* dx                            # (T, N, K), or NULL
    void* dW
    void* dU
    void* db                            # (3H,)
    void* dc                            # (3H,)


cdef class Layer:
    """The backward pass of one layer in one direction.

    Parameters
    ----------
    w_ih, w_hh : ndarray
        As of the forward layer; kept, not copied.
    reset_after : bool
        As of the forward layer, whose activations must be sigmoid and tanh, without a clip.
    """

    cdef Pass layer
    cdef bint is_double
    cdef tuple arrays

    def __init__(self, cnp.ndarray w_ih, cnp.ndarray w_hh, *, bint reset_after=True):
        self.arrays = (w_ih, w_hh)
        self.is_double = cnp.PyArray_TYPE(w_ih) == cnp.NPY_DOUBLE
        self.layer.K, self.layer.H = w_ih.shape[1], w_hh.shape[1]
        self.layer.reset_after = reset_after
        self.layer.width = (4 if reset_after else 3) * self.layer.H
        self.layer.W, self.layer.U = cnp.PyArray_DATA(w_ih), cnp.PyArray_DATA(w_hh)

    def run(
        self, cnp.ndarray x, cnp.ndarray y, tape, lengths, Py_ssize_t half, bint reverse, dy, states, dstates,
        dx, bint add_dx, grads,
    ):
        """Gradients of one pass; everything is C-contiguous and checked by the caller.

        Parameters
        ----------
        x, y, tape : ndarray
            (T, N, K), (T, N, D * H), (T, N, 4H) of the forward pass; zero past a row's length.
        lengths : ndarray or None
            (N,) falling.
        half : int
            Which H columns of y and dy are this direction's: 0 or 1.
        dy : ndarray or None
            (T, N, D * H).
        states, dstates : tuple of ndarray
            (N, H) each: h_0; dL/dh_n, replaced by dL/dh_0.
        dx : ndarray or None
            (T, N, K); `add_dx` adds to what is there.
        grads : sequence of ndarray
            dw_ih, dw_hh, db_ih, db_hh: overwritten.
        """
        cdef Pass p = self.layer
        cdef Py_ssize_t offset = half * p.H * cnp.PyArray_ITEMSIZE(x)
        cdef int failed
        cdef cnp.ndarray dW, dU, db, dc, h_0 = states[0], dh = dstates[0]
        p.T, p.N = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
        p.reverse, p.add_dx = reverse, add_dx
        p.lengths = NULL if lengths is None else <const cnp.intp_t*>cnp.PyArray_DATA(lengths)
        p.x, p.h_0 = cnp.PyArray_DATA(x), cnp.PyArray_DATA(h_0)
        p.y, p.y_n = cnp.PyArray_BYTES(y) + offset, cnp.PyArray_DIM(y, 2)
        p.tape = cnp.PyArray_DATA(tape)
        p.dy = NULL if dy is None else cnp.PyArray_BYTES(dy) + offset
        p.dh = cnp.PyArray_DATA(dh)
        p.dx = NULL if dx is None else cnp.PyArray_DATA(dx)
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
        step(p, t, da + t * p.N * p.width, scratch)
    parameter_gradients(p, da, scratch)
    if p.dx != NULL:
        input_gradients(p, da)
    free(da)
    return 0


cdef inline Py_ssize_t active_at(const Pass* p, Py_ssize_t t) noexcept nogil:
    """How many rows run at time t; they are the first ones."""
    cdef Py_ssize_t active = p.N
    if p.lengths != NULL:
        while active > 0 and p.lengths[active - 1] <= t:
            active -= 1
    return active


cdef inline const floating* old_state(const Pass* p, Py_ssize_t t, Py_ssize_t i, floating* kind=NULL) noexcept nogil:
    """h of row i before the step at time t."""
    cdef const floating* y = <const floating*>p.y
    cdef Py_ssize_t length = p.T if p.lengths == NULL else p.lengths[i]
    if p.reverse:
        if t + 1 < length:
            return y + ((t + 1) * p.N + i) * p.y_n
    elif t > 0:
        return y + ((t - 1) * p.N + i) * p.y_n
    return <const floating*>p.h_0 + i * p.H


cdef void step(const Pass* p, Py_ssize_t t, floating* da, floating* dq) noexcept nogil:
    """Lines 4 to 1 and 5 for the step at time t: da (N, width) and dh (N, H)."""
    cdef Py_ssize_t H = p.H, width = p.width, active = active_at(p, t), i
    cdef floating* dh = <floating*>p.dh
    cdef const floating* U = <const floating*>p.U
    cdef const floating* dy = <const floating*>p.dy
    memset(da + active * width, 0, (p.N - active) * width * sizeof(floating))
    if active == 0:
        return
    for i in range(active):
        if dy != NULL:
            dy = <const floating*>p.dy + (t * p.N + i) * p.y_n
        gru_row(p, tape_row[floating](p, t, i), old_state[floating](p, t, i), dy, dh + i * H, da + i * width)
    if p.reset_after:
        # dh[N,H] += da_h[N,3H] U
        gemm_nn(<int>active, <int>H, <int>(3 * H), da + H, <int>width, U, <int>H, <floating>1.0, dh, <int>H)
        return
    # dq[N,H] = da_n[N,H] U_n, then dh[N,H] += da_rz[N,2H] U_rz
    gemm_nn(<int>active, <int>H, <int>H, da, <int>width, U + 2 * H * H, <int>H, <floating>0.0, dq, <int>H)
    for i in range(active):
        reset_row(
            H, tape_row[floating](p, t, i), old_state[floating](p, t, i), dq + i * H, dh + i * H, da + i * width + H
        )
    gemm_nn(<int>active, <int>H, <int>(2 * H), da + H, <int>width, U, <int>H, <floating>1.0, dh, <int>H)


cdef inline const floating* tape_row(const Pass* p, Py_ssize_t t, Py_ssize_t i, floating* kind=NULL) noexcept nogil:
    return <const floating*>p.tape + (t * p.N + i) * 4 * p.H


cdef inline void gru_row(
    const Pass* p, const floating* tape, const floating* h, const floating* dy, floating* dh, floating* da
) noexcept nogil:
    cdef Py_ssize_t j = 0, H = p.H
    while j + LANES <= H:
        gru_block(p.reset_after, tape + j, H, h + j, dy, dh + j, da + j, LANES)
        j += LANES
        if dy != NULL:
            dy += LANES
    if j < H:
        gru_block(p.reset_after, tape + j, H, h + j, dy, dh + j, da + j, H - j)


cdef inline void reset_row(
    Py_ssize_t H, const floating* r, const floating* h, const floating* dq, floating* dh, floating* da_r
) noexcept nogil:
    cdef Py_ssize_t j = 0
    while j + LANES <= H:
        gru_reset_block(r + j, h + j, dq + j, dh + j, da_r + j, LANES)
        j += LANES
    if j < H:
        gru_reset_block(r + j, h + j, dq + j, dh + j, da_r + j, H - j)


cdef void parameter_gradients(const Pass* p, const floating* da, floating* first) noexcept nogil:
    """Lines 6 and 7."""
    cdef Py_ssize_t H = p.H, K = p.K, rows = p.T * p.N, width = p.width
    cdef int h = <int>H, k = <int>K, w = <int>width, R = <int>rows
    cdef floating* dW = <floating*>p.dW
    cdef floating* db = <floating*>p.db
    cdef floating* dc = <floating*>p.dc
    cdef floating* dU = <floating*>p.dU
    cdef const floating* x = <const floating*>p.x
    # dW_rz[2H,K] = da_rz[TN,2H]^T x[TN,K], dW_n[H,K] = da_n^T x
    gemm_tn(2 * h, k, R, da + H, w, x, k, <floating>0.0, dW, k)
    gemm_tn(h, k, R, da, w, x, k, <floating>0.0, dW + 2 * H * K, k)
    column_sums(rows, 2 * H, da + H, width, db)
    column_sums(rows, H, da, width, db + 2 * H)
    memcpy(dc, db, 3 * H * sizeof(floating))
    if p.reset_after:
        recurrent_gradients(p, 3 * H, da, first, dU)
        column_sums(rows, H, da + 3 * H, width, dc + 2 * H)
    else:
        recurrent_gradients(p, 2 * H, da, first, dU)
        # dU_n[H,H] = da_n[TN,H]^T q[TN,H]
        gemm_tn(h, h, R, da, w, <const floating*>p.tape + 3 * H, 4 * h, <floating>0.0, dU + 2 * H * H, h)


cdef void recurrent_gradients(
    const Pass* p, Py_ssize_t G, const floating* da, floating* first, floating* dU
) noexcept nogil:
    """dU[G,H] = sum over steps da_h[N,G]^T h[N,H]: y stands for h, one step apart, and h_0 at each row's start."""
    cdef Py_ssize_t H = p.H, N = p.N, width = p.width, i, length
    cdef Py_ssize_t ahead = N if not p.reverse else 0, behind = N - ahead
    cdef const floating* y = <const floating*>p.y
    cdef const floating* da_h = da + H
    for i in range(N):
        length = p.T if p.lengths == NULL else p.lengths[i]
        if length == 0:
            memset(first + i * width, 0, width * sizeof(floating))
        else:
            memcpy(
                first + i * width, da + ((length - 1 if p.reverse else 0) * N + i) * width, width * sizeof(floating)
            )
    gemm_tn(
        <int>G, <int>H, <int>N, first + H, <int>width, <const floating*>p.h_0, <int>H, <floating>0.0, dU, <int>H
    )
    if p.T > 1:
        gemm_tn(
            <int>G, <int>H, <int>((p.T - 1) * N), da_h + ahead * width, <int>width, y + behind * p.y_n, <int>p.y_n,
            <floating>1.0, dU, <int>H,
        )


cdef void input_gradients(const Pass* p, const floating* da) noexcept nogil:
    """Line 8: dx[TN,K] = da_rz[TN,2H] W_rz + da_n[TN,H] W_n."""
    cdef Py_ssize_t H = p.H, K = p.K, rows = p.T * p.N
    cdef const floating* W = <const floating*>p.W
    cdef floating* dx = <floating*>p.dx
    cdef floating beta = 1.0 if p.add_dx else 0.0
    gemm_nn(<int>rows, <int>K, <int>(2 * H), da + H, <int>p.width, W, <int>K, beta, dx, <int>K)
    gemm_nn(<int>rows, <int>K, <int>H, da, <int>p.width, W + 2 * H * K, <int>K, <floating>1.0, dx, <int>K)


cdef void column_sums(
    Py_ssize_t rows, Py_ssize_t columns, const floating* a, Py_ssize_t lda, floating* sums
) noexcept nogil:
    cdef Py_ssize_t i, j
    memset(sums, 0, columns * sizeof(floating))
    for i in range(rows):
        for j in range(columns):
            sums[j] += a[i * lda + j]
