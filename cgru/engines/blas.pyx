"""The BLAS engine: every gate GEMM is SciPy's BLAS, the gates are typed loops; float32 and float64.

    W x + b     one GEMM for a chunk of time steps
    U h + c     one GEMM per step (with reset_after=False two, because U_n multiplies r h)
    gates       one pass of typed loops

No product wakes BLAS's threads (_blas.pxd).
Compiled once per ISA (setup.py), since the gate loops profit from wide vectors.
"""

cimport numpy as cnp
from cgru.engines._activations cimport SIGMOID, TANH
from cgru.engines._blas cimport QUIET_GEMV, QUIET_GEMV_OLD, product_nt
from cgru.engines._cells cimport GRU, LINEAR, Cell, cell_of, reset_rows, update_rows
from cgru.engines._interrupt cimport INTERRUPTED, NO_MEMORY, Watch, interrupted, raise_for
from cgru.engines._kernel cimport KERNEL_NAME, Kernel
from cgru.engines._linear cimport linear_rows
from cgru.engines._matrices cimport Matrices, Rows, point, rows_at, rows_size
from cgru.engines._projection cimport add_to_bias, project
from cgru.engines._sequence cimport (
    Sequence, active_at, clear_padding, row_of, sequence_of, state_row, tape_row, y_row,
)
from cgru.engines._target cimport HAS_FMA, LANES
from cpython.pycapsule cimport PyCapsule_New
from cython cimport floating
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import scipy

cnp.import_array()

cdef Py_ssize_t SCRATCH = 2 << 20       # bytes for the input projections (and gathered inputs) of a chunk

cdef Py_ssize_t QUIET = QUIET_GEMV
if tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 17):
    QUIET = QUIET_GEMV_OLD

FUSED = bool(HAS_FMA)                   # whether this build has the contract's fused multiply-add


cdef class Direction:
    """One direction of a layer: canonical weights and the time loop over them.

    Parameters
    ----------
    w_ih, w_hh, b_ih, b_hh : ndarray
        (G, K), (G, H), (G,), (G,); C-contiguous, all float32 or all float64. They are kept, not copied.
    kind : int
        `Cell.code` of cgru/cells.py. GRU: G = 3H, gate order r, z, n; RNN: G = H; LSTM: G = 4H, gate order i, f, g, o.
    reset_after : bool
        GRU: n = tanh(W_n x + b_n + r (U_n h + c_n)), or else n = tanh(W_n x + b_n + U_n (r h) + c_n).
    f, g, h : (code, alpha, beta)
        The cell's functions, see `Cell.functions`; it ignores those that it does not have.
    clip : float
        The arguments of f and g are clamped to +-clip; 0 for no clamp.

    Notes
    -----
    Immutable: any number of threads may `run` one at a time.
    """

    cdef Matrices matrices
    cdef Kernel step_kernel
    cdef bint is_double
    cdef tuple arrays

    def __init__(
        self, cnp.ndarray w_ih, cnp.ndarray w_hh, cnp.ndarray b_ih, cnp.ndarray b_hh,
        *, int kind=GRU, bint reset_after=True, f=(SIGMOID, 0.0, 0.0), g=(TANH, 0.0, 0.0), h=(TANH, 0.0, 0.0),
        double clip=0.0,
    ):
        cdef Matrices* m = &self.matrices
        cdef Kernel* kernel = &self.step_kernel
        self.arrays = (w_ih, w_hh, b_ih, b_hh)
        self.is_double = cnp.PyArray_TYPE(w_ih) == cnp.NPY_DOUBLE
        m.cell = cell_of(False, kind, w_hh.shape[1], reset_after, f, g, h, clip)
        m.cell.linear_float, m.cell.linear_double = linear_rows[float], linear_rows[double]
        m.K, m.G = w_ih.shape[1], m.cell.gates * m.cell.H
        m.W, m.U = cnp.PyArray_DATA(w_ih), cnp.PyArray_DATA(w_hh)
        m.b, m.c = cnp.PyArray_DATA(b_ih), cnp.PyArray_DATA(b_hh)
        kernel.direction, kernel.K, kernel.H = m, m.K, m.cell.H
        kernel.planes, kernel.itemsize = m.cell.planes, w_ih.itemsize
        if self.is_double:
            kernel.scratch, kernel.step = step_scratch_double, step_double
        else:
            kernel.scratch, kernel.step = step_scratch_float, step_float

    def kernel(self):
        """Capsule of this direction's Kernel (_kernel.pxd)."""
        return PyCapsule_New(&self.step_kernel, KERNEL_NAME, NULL)

    def run(
        self, cnp.ndarray x, cnp.ndarray y, tuple states, lengths, order, bint reverse, tape
    ):
        """One pass over all steps; everything is checked by the caller.

        Parameters
        ----------
        x, y : ndarray
            (T, N, K), and (T, N, H), which is filled: 0 past a row's length. Features are contiguous.
        states : tuple of ndarray
            h (and an LSTM's c), (N, H) each, C-contiguous: the initial states, replaced by the final ones.
        lengths, order : ndarray of intp, or None and None
            (N,) steps of each row, and the rows by falling length.
        reverse : bool
            From the end of each row to its start.
        tape : ndarray or None
            (T, N, planes * H), which receives what each cell's file says of every step (_gru.pxd, _lstm.pxd, _rnn.pxd).
            It is left alone past a row's length.
        """
        cdef Sequence seq = sequence_of(x, y, states, lengths, order, reverse, tape)
        cdef int failed
        with nogil:
            clear_padding(&seq, self.matrices.cell.H)
            if self.matrices.cell.kind == LINEAR and self.is_double:
                failed = run_linear[double](&self.matrices, &seq)
            elif self.matrices.cell.kind == LINEAR:
                failed = run_linear[float](&self.matrices, &seq)
            elif self.is_double:
                failed = run_sequence[double](&self.matrices, &seq)
            else:
                failed = run_sequence[float](&self.matrices, &seq)
        if failed:
            raise_for(failed, "the scratch space of the time loop")


cdef inline Py_ssize_t chunk_steps(const Matrices* m, const Sequence* seq) noexcept nogil:
    """Steps of a time chunk: their sums of W x and their x take some SCRATCH bytes."""
    return min(max(1, SCRATCH // (seq.N * (m.G + m.K) * <Py_ssize_t>seq.itemsize)), seq.T)


cdef int run_sequence(const Matrices* m, const Sequence* seq, floating* kind=NULL) noexcept nogil:
    """The time loop: 0, NO_MEMORY or INTERRUPTED.

    Scratch: pointers to each row's h, c and tape; h, c, rh (N, H), gh (N, G); per chunk gi (rows, G) and gathered x
    (rows, K); and what the gates read beyond their sums.
    """
    cdef Py_ssize_t N = seq.N, H = m.cell.H, G = m.G
    cdef Py_ssize_t steps = chunk_steps(m, seq), s, s_0, s_1, i, active = N, rows
    cdef floating* gi_s
    cdef Watch watch = Watch(due=0)
    cdef Py_ssize_t numbers = N * (3 * H + G) + steps * N * (G + m.K) + LANES
    cdef void* memory = malloc(rows_size(N) + numbers * sizeof(floating))
    if memory == NULL:
        return NO_MEMORY
    cdef Rows rows_of_states = rows_at(memory, N)
    cdef floating* h = <floating*>rows_of_states.end
    cdef floating* c = h + N * H         # an LSTM's
    cdef floating* gh = c + N * H
    cdef floating* rh = gh + N * G
    cdef floating* gi = rh + N * H
    cdef floating* gathered = gi + steps * N * G
    point(&rows_of_states, N, H, h, c)
    load_states(seq, 0, H, h)
    if seq.planes == 2:
        load_states(seq, 1, H, c)
    s_0 = 0
    while s_0 < seq.T:
        s_1 = min(s_0 + steps, seq.T)
        project(m, seq, s_0, s_1, active, gathered, gi, QUIET)
        gi_s = gi
        for s in range(s_0, s_1):
            rows = active_at(seq, s, active)
            store_states(seq, H, rows, active, h, c)
            active = rows
            if active == 0:
                break
            if seq.tape != NULL:
                for i in range(active):
                    rows_of_states.tape[i] = tape_row(seq, i, s)
            advance(m, active, gi_s, G, &rows_of_states, h, gh, rh, seq.tape != NULL)
            for i in range(active):
                memcpy(y_row(seq, row_of(seq, i), s), h + i * H, H * sizeof(floating))
            gi_s += active * G
        s_0 = s_1 if active else seq.T
        if s_0 < seq.T and interrupted(&watch):
            free(memory)
            return INTERRUPTED
    store_states(seq, H, 0, active, h, c)
    free(memory)
    return 0


cdef int run_linear(const Matrices* m, const Sequence* seq, floating* kind=NULL) noexcept nogil:
    """All steps of a Linear: 0, NO_MEMORY or INTERRUPTED."""
    cdef Py_ssize_t N = seq.N, G = m.G, steps = chunk_steps(m, seq), s, s_0 = 0, s_1, i, active = N
    cdef Watch watch = Watch(due=0)
    cdef void* memory = malloc(rows_size(N) + steps * N * (G + m.K) * sizeof(floating))
    if memory == NULL:
        return NO_MEMORY
    cdef Rows rows = rows_at(memory, N)
    cdef floating* a = <floating*>rows.end
    cdef floating* a_s
    while s_0 < seq.T and active > 0:
        s_1 = min(s_0 + steps, seq.T)
        project(m, seq, s_0, s_1, active, a + steps * N * G, a, QUIET)
        a_s = a
        for s in range(s_0, s_1):
            active = active_at(seq, s, active)
            for i in range(active):
                rows.h[i] = y_row(seq, row_of(seq, i), s)
                if seq.tape != NULL:
                    memcpy(tape_row(seq, i, s), a_s + i * G, G * sizeof(floating))
            activate_rows(&m.cell, active, <const floating*>a_s, <floating* const*>rows.h)
            a_s += active * G
        s_0 = s_1
        if s_0 < seq.T and interrupted(&watch):
            free(memory)
            return INTERRUPTED
    free(memory)
    return 0


cdef inline void activate_rows(const Cell* cell, Py_ssize_t N, const floating* a, floating* const* y) noexcept nogil:
    """A Linear's y from its sums."""
    if floating is float:
        cell.linear_float(&cell.act.g, cell.H, N, a, cell.H, y)
    else:
        cell.linear_double(&cell.act.g, cell.H, N, a, cell.H, y)


cdef void load_states(const Sequence* seq, Py_ssize_t plane, Py_ssize_t H, floating* states) noexcept nogil:
    """A plane's initial states, in the order of the visit."""
    cdef Py_ssize_t i, size = H * sizeof(floating)
    for i in range(seq.N):
        memcpy(states + i * H, state_row(seq, plane, i, size), size)


cdef void store_states(
    const Sequence* seq, Py_ssize_t H, Py_ssize_t first, Py_ssize_t end, const floating* h, const floating* c
) noexcept nogil:
    """The final states of the rows visited as first..end."""
    cdef Py_ssize_t i, size = H * sizeof(floating)
    for i in range(first, end):
        memcpy(state_row(seq, 0, i, size), h + i * H, size)
        if seq.planes == 2:
            memcpy(state_row(seq, 1, i, size), c + i * H, size)


cdef void advance(
    const Matrices* m, Py_ssize_t N,
    const floating* gi, Py_ssize_t ldg,   # IN (N, G), rows ldg apart
    const Rows* rows,                  # where each row's h and c are, which are replaced, and its tape
    floating* h,                       # IN/OUT (N, H)
    floating* gh, floating* rh,        # scratch (N, G), (N, H)
    bint taped,
) noexcept nogil:
    """One step of N rows."""
    cdef const Cell* cell = &m.cell
    cdef Py_ssize_t H = cell.H, G = m.G, i
    cdef const floating* U = <const floating*>m.U
    cdef const floating* sums = gh
    cdef floating* const* h_rows = <floating* const*>rows.h
    cdef floating* const* c_rows = <floating* const*>rows.c
    cdef floating* const* tape = <floating* const*>rows.tape if taped else NULL
    cdef const floating* const* h_old = <const floating* const*>rows.h
    for i in range(N):
        memcpy(gh + i * G, m.c, G * sizeof(floating))
    # gh[N,:together] = h[N,H] U^T + c, of all gates, or with reset_after=False of r and z
    product_nt(N, cell.together * H, H, h, H, U, H, <floating>1.0, gh, G, QUIET)
    if cell.together < cell.gates:
        reset_rows(cell, N, gi, ldg, sums, G, h_old, rh, H, tape)
        # gh[N,together:] = (r h)[N,H] U_n^T + c_n
        product_nt(
            N, H, H, rh, H, U + cell.together * H * H, H, <floating>1.0, gh + cell.together * H, G, QUIET
        )
    update_rows(
        cell, N, gi, ldg, sums, G, sums + (G - H), G, h_old, <const floating* const*>rows.c, h_rows, c_rows, tape
    )


# ---- the Kernel


cdef Py_ssize_t step_scratch_float(const void* direction, Py_ssize_t N) noexcept nogil:
    return rows_size(N) + step_numbers(<const Matrices*>direction, N) * <Py_ssize_t>sizeof(float)


cdef Py_ssize_t step_scratch_double(const void* direction, Py_ssize_t N) noexcept nogil:
    return rows_size(N) + step_numbers(<const Matrices*>direction, N) * <Py_ssize_t>sizeof(double)


cdef inline Py_ssize_t step_numbers(const Matrices* m, Py_ssize_t N) noexcept nogil:
    """gi, gh (N, G), rh (N, H), and what the gates read beyond their sums; the pointers to rows are extra."""
    return N * (2 * m.G + m.cell.H) + LANES


cdef void step_float(
    const void* direction, Py_ssize_t N, const void* x, Py_ssize_t ldx,
    const void* const* states, void* const* new_states, void* scratch
) noexcept nogil:
    step_rows(<const Matrices*>direction, N, <const float*>x, ldx, states, new_states, scratch)


cdef void step_double(
    const void* direction, Py_ssize_t N, const void* x, Py_ssize_t ldx,
    const void* const* states, void* const* new_states, void* scratch
) noexcept nogil:
    step_rows(<const Matrices*>direction, N, <const double*>x, ldx, states, new_states, scratch)


cdef void step_rows(
    const Matrices* m, Py_ssize_t N,
    const floating* x, Py_ssize_t ldx,                                  # IN (N, K), rows ldx apart, or one
    const void* const* states, void* const* new_states,                 # IN, OUT (N, H) each
    void* scratch,                                                      # see step_numbers
) noexcept nogil:
    """One step without a sequence: `advance` on copies of the states."""
    cdef Py_ssize_t size = N * m.cell.H * sizeof(floating), plane
    cdef Rows rows = rows_at(scratch, N)
    cdef floating* gi = <floating*>rows.end
    cdef floating* gh = gi + N * m.G
    cdef floating* h = <floating*>new_states[0]
    if m.cell.kind == LINEAR:           # new_states[0] is where y goes
        point(&rows, N, m.cell.H, h, h)
        add_to_bias(m, N, x, ldx, gi, QUIET)
        activate_rows(&m.cell, N, <const floating*>gi, <floating* const*>rows.h)
        return
    point(&rows, N, m.cell.H, h, <floating*>new_states[m.cell.planes - 1])
    for plane in range(m.cell.planes):
        memcpy(new_states[plane], states[plane], size)
    if ldx == 0:
        add_to_bias(m, 1, x, m.K, gi, QUIET)
    else:
        add_to_bias(m, N, x, ldx, gi, QUIET)
    advance(m, N, <const floating*>gi, m.G if ldx else 0, &rows, h, gh, gh + N * m.G, False)
