"""The engine's pass over the gates, alone: `update_row` of cgru/engines/_cells.pxd, as packed.pyx calls it.

Built on the spot from the sources of the clone, with the flags of setup.py (see ../gates.py): no installed module offers
this, since only a benchmark wants it.
"""

from cgru.engines._activations cimport SIGMOID, TANH
from cgru.engines._cells cimport GRU, LSTM, RNN, Cell, cell_of, update_row
from cgru.engines._target cimport LANES
from libc.stdint cimport int64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

lanes = LANES
KINDS = {"gru": GRU, "rnn": RNN, "lstm": LSTM}


cdef void update(
    const Cell* cell, const float* a, const float* b, const float* h, const float* c, float* h_new, float* c_new
) noexcept nogil:
    update_row(True, cell, a, b, NULL, h, c, h_new, c_new, NULL)


cdef int64_t now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <int64_t>t.tv_sec * 1000000000 + t.tv_nsec


def sample(str kind, Py_ssize_t rows, Py_ssize_t H, size_t memory, Py_ssize_t calls, Py_ssize_t count, size_t ns):
    """`count` times `calls` passes over `rows` rows of H units: the nanoseconds of each go to int64 ns[count].

    `memory` holds, for rows * H units and G gates, G planes of a, G of b, then h, c, new h, new c.
    """
    cdef Cell cell = cell_of(KINDS[kind], H, True, (SIGMOID, 0.0, 0.0), (TANH, 0.0, 0.0), (TANH, 0.0, 0.0), 0.0)
    cdef Py_ssize_t i, call, row, n = rows * H, width = cell.gates * H
    cdef float* a = <float*>memory
    cdef float* b = a + cell.gates * n
    cdef float* h = b + cell.gates * n
    cdef float* c = h + n
    cdef float* h_new = c + n
    cdef float* c_new = h_new + n
    cdef int64_t* times = <int64_t*>ns
    cdef int64_t start
    with nogil:
        for i in range(count):
            start = now()
            for call in range(calls):
                for row in range(rows):
                    update(&cell, a + row * width, b + row * width, h + row * H, c + row * H, h_new + row * H,
                           c_new + row * H)
            times[i] = now() - start
