"""What a direction of the BLAS engine consists of, and where the rows of its time loop are."""

from cgru.engines._cells cimport Cell
from cython cimport floating


cdef struct Matrices:                   # a direction
    Cell cell
    Py_ssize_t K, G                     # features in, rows of W and U: cell.gates * H
    const void* W                       # (G, K) rows r, z, n for a GRU, i, f, g, o for an LSTM
    const void* U                       # (G, H)
    const void* b                       # (G,) beside W
    const void* c                       # (G,) beside U


cdef struct Rows:                       # (N,) pointers each, for the rows in the order of the visit
    void** h
    void** c                            # an LSTM's
    void** tape
    void* end                           # what comes behind them in memory


cdef inline Py_ssize_t rows_size(Py_ssize_t N) noexcept nogil:
    return 3 * N * <Py_ssize_t>sizeof(void*)


cdef inline Rows rows_at(void* memory, Py_ssize_t N) noexcept nogil:
    cdef Rows rows
    rows.h = <void**>memory
    rows.c = rows.h + N
    rows.tape = rows.c + N
    rows.end = rows.tape + N
    return rows


cdef inline void point(Rows* rows, Py_ssize_t N, Py_ssize_t H, floating* h, floating* c) noexcept nogil:
    """Row i is row i of h and c, (N, H) each."""
    cdef Py_ssize_t i
    for i in range(N):
        rows.h[i], rows.c[i] = h + i * H, c + i * H
