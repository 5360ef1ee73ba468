"""The engine's pass over the gates, alone: `update_rows` of cgru/engines/_cells.pxd, as packed.pyx calls it.

Built on the spot from the sources of the clone, with the flags of setup.py (see ../gates.py): no installed module
offers this, since only a benchmark wants it.
"""

from cgru.engines._activations cimport SIGMOID, TANH
from cgru.engines._cells cimport GRU, LSTM, RNN, Cell, cell_of, update_rows
from cgru.engines._target cimport LANES
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

lanes = LANES
KINDS = {"gru": GRU, "rnn": RNN, "lstm": LSTM}


cdef void update(
    const Cell* cell, Py_ssize_t rows, const float* a, const float* b, float* const* h, float* const* c,
    float* const* h_new, float* const* c_new,
) noexcept nogil:
    cdef Py_ssize_t width = cell.gates * cell.H
    update_rows(
        cell, rows, a, width, b, width, b, 0, <const float* const*>h, <const float* const*>c, h_new, c_new, NULL
    )


cdef int64_t now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <int64_t>t.tv_sec * 1000000000 + t.tv_nsec


def sample(str kind, Py_ssize_t rows, Py_ssize_t H, size_t memory, Py_ssize_t calls, Py_ssize_t count, size_t ns):
    """`count` times `calls` passes over `rows` rows of H units: the nanoseconds of each go to int64 ns[count].

    `memory` holds, for rows * H units and G gates, G planes of a, G of b, then h, c, new h, new c.
    """
    cdef Cell cell = cell_of(True, KINDS[kind], H, True, (SIGMOID, 0.0, 0.0), (TANH, 0.0, 0.0), (TANH, 0.0, 0.0), 0.0)
    cdef Py_ssize_t i, row, _call, n = rows * H
    cdef float* a = <float*>memory
    cdef float* b = a + cell.gates * n
    cdef float* planes = b + cell.gates * n
    cdef float** pointers = <float**>malloc(4 * rows * sizeof(float*))
    cdef int64_t* times = <int64_t*>ns
    cdef int64_t start
    if pointers == NULL:
        raise MemoryError
    for i in range(4):                  # h, c, new h, new c
        for row in range(rows):
            pointers[i * rows + row] = planes + i * n + row * H
    with nogil:
        for i in range(count):
            start = now()
            for _call in range(calls):
                update(&cell, rows, a, b, pointers, pointers + rows, pointers + 2 * rows, pointers + 3 * rows)
            times[i] = now() - start
    free(pointers)
