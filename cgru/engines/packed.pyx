"""The packed engine: float32, weights packed once in their own type, products and gates as typed loops.

    gi = b + W x        panel product over the steps of a time chunk
    gh = c + U h        panel product, every step
    gates               one pass of typed loops, block by block of LANES hidden units

Columns of gi and gh stand block by block, for a GRU:  r(0..L) z(0..L) n(0..L) | r(L..2L) z(L..2L) n(L..2L) | ...
What is left of H after whole blocks stands at the end, in the same order without gaps.
With reset_after=False, U is two matrices: gh = r z | r z | ..., and, once r h is known, hn = n | n | ...

The products add in one fixed order (_panels.pxd), and the gates are elementwise, so a row's bits depend on that row
alone. This file has the time loop; it knows neither the type of the weights (_panels.pxd, and a file for each) nor the
cell (_cells.pxd).
"""

cimport numpy as cnp
from cgru.engines._activations cimport SIGMOID, TANH
from cgru.engines._blocks cimport padded
from cgru.engines._cells cimport GRU, LINEAR, cell_of, reset_rows, update_rows
from cgru.engines._interrupt cimport INTERRUPTED, NO_MEMORY, Watch, interrupted, raise_for
from cgru.engines._kernel cimport KERNEL_NAME, Kernel
from cgru.engines._linear cimport linear_rows
from cgru.engines._packed cimport Packed, Scratch, chunk_steps, project, scratch_at, scratch_size
from cgru.engines._packed_linear cimport linear_sequence, linear_step
from cgru.engines._panels cimport BFLOAT16, FLOAT32, INT8, Panels
from cgru.engines._panels_bfloat16 cimport product_bfloat16, product_pair_bfloat16
from cgru.engines._panels_float32 cimport product_float32, product_pair_float32
from cgru.engines._panels_int8 cimport product_int8, product_pair_int8, work_int8
from cgru.engines._sequence cimport (
    Sequence, active_at, clear_padding, row_of, sequence_of, state_row, tape_row, y_row,
)
from cgru.engines._target cimport HAS_FMA, LANES, ONLY_INT8, ROWS, WIDTH
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from cgru.engines import packing

cnp.import_array()

cdef Py_ssize_t LIMIT = 3 << 20         # bytes of scratch for one step: larger batches go in blocks of rows

FUSED = bool(HAS_FMA)                   # whether this build has the contract's fused multiply-add


cdef class Direction:
    """One direction of a layer: packed weights and the time loop over them; see `blas.Direction` for parameters.

    float32; w_ih and w_hh may be `Quantized`, in one type. Immutable: any number of threads may `run` one at a time.
    """

    cdef Packed packed
    cdef Kernel step_kernel
    cdef tuple arrays

    def __init__(
        self, w_ih, w_hh, cnp.ndarray b_ih, cnp.ndarray b_hh,
        *, int kind=GRU, bint reset_after=True, f=(SIGMOID, 0.0, 0.0), g=(TANH, 0.0, 0.0), h=(TANH, 0.0, 0.0),
        double clip=0.0,
    ):
        cdef Py_ssize_t H = w_hh.shape[1]
        cdef Packed* packed = &self.packed
        packed.cell = cell_of(True, kind, H, reset_after, f, g, h, clip)
        packed.K = w_ih.shape[1]
        together = packed.cell.together * H       # rows of U; the rest is V
        if kind == LINEAR:                        # it has neither, in W's type
            w_hh, b_hh, together = w_ih, b_ih, 0
        packs = [
            packing.pack(w_ih, b_ih, slice(None), H, LANES),
            packing.pack(w_hh, b_hh, slice(together), H, LANES),
            packing.pack(w_hh, b_hh, slice(together, 0 if kind == LINEAR else None), H, LANES),
        ]
        data = packing.place([pack.data for pack in packs])
        self.arrays = (packs, data)
        packed.W = panels_of(data[0], packs[0], packed.K)
        packed.U = panels_of(data[1], packs[1], H)
        packed.V = panels_of(data[2], packs[2], H)
        packed.rows = max(1, LIMIT // scratch_size(packed, 1, 1) // ROWS) * ROWS
        self.step_kernel = Kernel(
            direction=packed, K=packed.K, H=H, planes=packed.cell.planes, itemsize=sizeof(float),
            scratch=step_scratch, step=step,
        )
        if kind == LINEAR:
            self.step_kernel.step, packed.cell.linear_float = linear_step, linear_rows[float]

    def kernel(self):
        """Capsule of this direction's Kernel (_kernel.pxd)."""
        return PyCapsule_New(&self.step_kernel, KERNEL_NAME, NULL)

    def run(
        self, cnp.ndarray x, cnp.ndarray y, tuple states, lengths, order, bint reverse, tape
    ):
        """Fill y (T, N, H) from x (T, N, K), and replace the states; see `blas.Direction.run`."""
        cdef Sequence seq = sequence_of(x, y, states, lengths, order, reverse, tape)
        cdef int failed
        with nogil:
            clear_padding(&seq, self.packed.cell.H)
            failed = run_blocks(&self.packed, seq)
        if failed:
            raise_for(failed, "the scratch space of the time loop")


#: dtype of packed weights -> their type, and how many stand in a word
TYPES = {"float32": (FLOAT32, 1), "uint16": (BFLOAT16, 2), "int8": (INT8, 4)}


cdef Panels panels_of(cnp.ndarray data, pack, Py_ssize_t K):
    """Of packed weights (packing.py), which the caller keeps alive."""
    cdef Panels panels
    cdef cnp.ndarray bias = pack.bias, scale = pack.scale, start = pack.start
    cdef int type
    type, group = TYPES[data.dtype.name]
    if ONLY_INT8 and type != INT8:
        raise TypeError(f"this module computes int8 weights only; got {data.dtype}")
    panels.columns, panels.K, panels.depth = cnp.PyArray_SIZE(bias), K, (K + group - 1) // group
    panels.full, panels.extra = panels.columns // WIDTH, panels.columns % WIDTH // LANES
    panels.data, panels.bias = cnp.PyArray_DATA(data), <const float*>cnp.PyArray_DATA(bias)
    panels.scale, panels.start = <const float*>cnp.PyArray_DATA(scale), <const int32_t*>cnp.PyArray_DATA(start)
    panels.work = work_int8(panels.depth) if type == INT8 else 0
    if type == INT8:
        panels.product, panels.product_pair = product_int8, product_pair_int8
    elif ONLY_INT8:
        pass
    elif type == BFLOAT16:
        panels.product, panels.product_pair = product_bfloat16, product_pair_bfloat16
    else:
        panels.product, panels.product_pair = product_float32, product_pair_float32
    return panels


cdef int run_blocks(const Packed* packed, Sequence seq) noexcept nogil:
    """The time loop over packed.rows rows at a time: 0, NO_MEMORY or INTERRUPTED."""
    cdef Py_ssize_t left = seq.N, plane
    cdef Watch watch = Watch(due=0)
    cdef int failed
    while left > 0:
        seq.N = min(left, packed.rows)
        if packed.cell.kind == LINEAR:
            failed = linear_sequence(packed, &seq, &watch)
        else:
            failed = run_sequence(packed, &seq, &watch)
        if failed:
            return failed
        left -= seq.N
        if left > 0 and interrupted(&watch):
            return INTERRUPTED
        if seq.order != NULL:
            seq.order += seq.N
        else:
            seq.x += seq.N * seq.x_n
            seq.y += seq.N * seq.y_n
            for plane in range(seq.planes):
                seq.states[plane] += seq.N * packed.cell.H * sizeof(float)
            if seq.tape != NULL:
                seq.tape += seq.N * seq.tape_n
    return 0


cdef int run_sequence(const Packed* packed, const Sequence* seq, Watch* watch) noexcept nogil:
    """The time loop: 0, NO_MEMORY or INTERRUPTED. After its first step, a row's h is where its y is."""
    cdef Py_ssize_t N = seq.N, H = packed.cell.H, ld = packed.W.columns
    cdef Py_ssize_t steps = chunk_steps(packed, seq), s, s_0 = 0, s_1, i, rows, active = N
    cdef Scratch scratch
    cdef float* gi
    cdef void* memory
    memory = malloc(scratch_size(packed, steps * N, N))
    if memory == NULL:
        return NO_MEMORY
    scratch = scratch_at(packed, steps * N, N, memory)
    for i in range(N):
        scratch.h_rows[i] = <float*>state_row(seq, 0, i, H * sizeof(float))
        if packed.cell.planes == 2:
            scratch.c_rows[i] = <float*>state_row(seq, 1, i, H * sizeof(float))
    while s_0 < seq.T and active > 0:
        s_1 = min(s_0 + steps, seq.T)
        project(packed, seq, s_0, s_1, active, &scratch)
        gi = scratch.gi
        for s in range(s_0, s_1):
            rows = active_at(seq, s, active)
            finish(seq, H, rows, active, scratch.h_rows)
            active = rows
            if active == 0:
                break
            advance(packed, seq, s, active, gi, &scratch)
            gi += active * ld
        s_0 = s_1
        if s_0 < seq.T and interrupted(watch):
            free(memory)
            return INTERRUPTED
    finish(seq, H, 0, active, scratch.h_rows)
    free(memory)
    return 0


cdef inline void finish(
    const Sequence* seq, Py_ssize_t H, Py_ssize_t first, Py_ssize_t end, float* const* h_rows
) noexcept nogil:
    """The rows visited as first..end are through: h_rows has their final h. (A second plane is always in its place.)"""
    cdef Py_ssize_t i, size = H * sizeof(float)
    cdef char* final
    for i in range(first, end):
        final = state_row(seq, 0, i, size)
        if final != <const char*>h_rows[i]:
            memcpy(final, h_rows[i], size)


cdef void advance(
    const Packed* packed, const Sequence* seq, Py_ssize_t s, Py_ssize_t active, const float* gi, Scratch* scratch
) noexcept nogil:
    """Step s of the active rows; each row's new h goes to its y, and that is its old h from then on."""
    cdef Py_ssize_t i
    cdef float* const* tape = NULL
    for i in range(active):
        scratch.y_rows[i] = <float*>y_row(seq, row_of(seq, i), s)
    if seq.tape != NULL:
        tape = scratch.tape_rows
        for i in range(active):
            scratch.tape_rows[i] = <float*>tape_row(seq, i, s)
    # an LSTM's c stays where it is
    update(packed, active, gi, packed.W.columns, scratch, scratch.c_rows, tape)
    scratch.h_rows, scratch.y_rows = scratch.y_rows, scratch.h_rows


cdef void update(
    const Packed* packed, Py_ssize_t N, const float* gi, Py_ssize_t lda, Scratch* scratch, float* const* c_new,
    float* const* tape,
) noexcept nogil:
    """The new states of N rows, from gi, whose rows lie lda apart, and the old ones."""
    # gh[N, :] = c + h[N, H] U^T
    packed.U.product(&packed.U, N, <const float* const*>scratch.h_rows, scratch.gh, packed.U.columns, scratch.work)
    gates(packed, N, gi, lda, scratch, c_new, tape)


cdef void gates(
    const Packed* packed, Py_ssize_t N, const float* gi, Py_ssize_t lda, Scratch* scratch, float* const* c_new,
    float* const* tape,
) noexcept nogil:
    """`update` once gh is known."""
    cdef Py_ssize_t i, ldr = padded(packed.cell.H)
    cdef Py_ssize_t ldb = packed.U.columns, ldn = packed.V.columns
    cdef const float* const* h = <const float* const*>scratch.h_rows
    if packed.V.columns:
        reset_rows(&packed.cell, N, gi, lda, <const float*>scratch.gh, ldb, h, scratch.rh, ldr, tape)
        for i in range(N):
            scratch.rh_rows[i] = scratch.rh + i * ldr
        # hn[N, :] = c_n + (r h)[N, H] U_n^T
        packed.V.product(&packed.V, N, <const float* const*>scratch.rh_rows, scratch.hn, ldn, scratch.work)
    update_rows(
        &packed.cell, N, gi, lda, <const float*>scratch.gh, ldb, <const float*>scratch.hn, ldn,
        h, <const float* const*>scratch.c_rows, scratch.y_rows, c_new, tape,
    )


# ---- the Kernel: the same products and gates as in a sequence, hence the same bits


cdef Py_ssize_t step_scratch(const void* direction, Py_ssize_t N) noexcept nogil:
    cdef const Packed* packed = <const Packed*>direction
    N = min(N, packed.rows)
    return scratch_size(packed, N, N)


cdef void step(
    const void* direction, Py_ssize_t N, const void* x, Py_ssize_t ldx,
    const void* const* states, void* const* new_states, void* memory
) noexcept nogil:
    cdef const Packed* packed = <const Packed*>direction
    cdef Py_ssize_t first = 0, rows
    if N == 1:
        step_row(packed, <const float*>x, states, new_states, memory)
        return
    while first < N:
        rows = min(N - first, packed.rows)
        step_rows(packed, first, rows, <const float*>x + first * ldx, ldx, states, new_states, memory)
        first += rows


cdef void step_row(
    const Packed* packed, const float* x, const void* const* states, void* const* new_states, void* memory
) noexcept nogil:
    """A single row: both products together. It is short, since the time of a small step is in the order of 100 ns."""
    cdef Scratch scratch = scratch_at(packed, 1, 1, memory)
    scratch.x_rows[0] = x
    point(packed, 0, 0, states, new_states, &scratch)
    packed.W.product_pair(
        &packed.W, scratch.x_rows, scratch.gi, &packed.U, <const float* const*>scratch.h_rows, scratch.gh,
        scratch.work,
    )
    gates(packed, 1, scratch.gi, packed.W.columns, &scratch, scratch.c_new_rows, NULL)


cdef void step_rows(
    const Packed* packed, Py_ssize_t first, Py_ssize_t N, const float* x, Py_ssize_t ldx,
    const void* const* states, void* const* new_states, void* memory
) noexcept nogil:
    """N rows from `first` on, whose x is at `x`."""
    cdef Scratch scratch = scratch_at(packed, N, N, memory)
    cdef Py_ssize_t i, sums = N if ldx else 1, lda = packed.W.columns if ldx else 0
    for i in range(N):
        scratch.x_rows[i] = x + i * ldx
        point(packed, i, first + i, states, new_states, &scratch)
    packed.W.product(&packed.W, sums, scratch.x_rows, scratch.gi, packed.W.columns, scratch.work)
    update(packed, N, scratch.gi, lda, &scratch, scratch.c_new_rows, NULL)


cdef inline void point(
    const Packed* packed, Py_ssize_t i, Py_ssize_t row, const void* const* states, void* const* new_states,
    Scratch* scratch,
) noexcept nogil:
    """Row number i of a step is this row of the states."""
    cdef Py_ssize_t at = row * packed.cell.H
    scratch.h_rows[i], scratch.y_rows[i] = <float*>states[0] + at, <float*>new_states[0] + at
    if packed.cell.planes == 2:
        scratch.c_rows[i], scratch.c_new_rows[i] = <float*>states[1] + at, <float*>new_states[1] + at
