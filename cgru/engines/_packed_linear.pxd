"""The packed engine's Linear: products over the rows of many steps at once, and its activation (_linear.pxd)."""

from cgru.engines._interrupt cimport INTERRUPTED, NO_MEMORY, Watch, interrupted
from cgru.engines._packed cimport Packed, Scratch, chunk_steps, project, scratch_at, scratch_size
from cgru.engines._sequence cimport Sequence, active_at, row_of, tape_row, y_row
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef inline int linear_sequence(const Packed* packed, const Sequence* seq, Watch* watch) noexcept nogil:
    """All steps: 0, NO_MEMORY or INTERRUPTED."""
    cdef Py_ssize_t N = seq.N, steps = chunk_steps(packed, seq), s, s_0 = 0, s_1, active = N
    cdef Scratch scratch
    cdef float* a
    cdef void* memory = malloc(scratch_size(packed, steps * N, N))
    if memory == NULL:
        return NO_MEMORY
    scratch = scratch_at(packed, steps * N, N, memory)
    while s_0 < seq.T and active > 0:
        s_1 = min(s_0 + steps, seq.T)
        project(packed, seq, s_0, s_1, active, &scratch)
        a = scratch.gi
        for s in range(s_0, s_1):
            active = active_at(seq, s, active)
            leave(packed, seq, s, active, a, &scratch)
            a += active * packed.W.columns
        s_0 = s_1
        if s_0 < seq.T and interrupted(watch):
            free(memory)
            return INTERRUPTED
    free(memory)
    return 0


cdef inline void leave(
    const Packed* packed, const Sequence* seq, Py_ssize_t s, Py_ssize_t active, const float* a, Scratch* scratch
) noexcept nogil:
    """Step s of the active rows, from their sums to y and to the tape."""
    cdef Py_ssize_t i, ld = packed.W.columns
    for i in range(active):
        scratch.y_rows[i] = <float*>y_row(seq, row_of(seq, i), s)
        if seq.tape != NULL:
            memcpy(tape_row(seq, i, s), a + i * ld, packed.cell.H * sizeof(float))
    packed.cell.linear_float(&packed.cell.act.g, packed.cell.H, active, a, ld, scratch.y_rows)


cdef inline void linear_step(
    const void* direction, Py_ssize_t N, const void* x, Py_ssize_t ldx,
    const void* const* states, void* const* new_states, void* memory
) noexcept nogil:
    """One step of N rows, into new_states[0]: a Kernel's `step`; larger batches in blocks of rows, as sequences."""
    cdef const Packed* packed = <const Packed*>direction
    cdef Py_ssize_t first = 0, rows, i
    cdef Scratch scratch
    cdef float* y
    while first < N:
        rows = min(N - first, packed.rows)
        scratch = scratch_at(packed, rows, rows, memory)
        y = <float*>new_states[0] + first * packed.cell.H
        for i in range(rows):
            scratch.x_rows[i] = <const float*>x + (first + i) * ldx
            scratch.y_rows[i] = y + i * packed.cell.H
        packed.W.product(&packed.W, rows, scratch.x_rows, scratch.gi, packed.W.columns, scratch.work)
        packed.cell.linear_float(
            &packed.cell.act.g, packed.cell.H, rows, scratch.gi, packed.W.columns, scratch.y_rows
        )
        first += rows
