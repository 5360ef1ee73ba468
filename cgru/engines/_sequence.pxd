"""What every engine is told about one pass of one layer in one direction, and who is active when.

Rows are visited in the order of falling length, so that the rows still running are always the first ones.
Step s of a row of length L is time s, or L-1-s in the reverse direction.
"""

cimport numpy as cnp
from cgru.engines._kernel cimport MAX_PLANES
from libc.string cimport memset


cdef struct Sequence:
    Py_ssize_t T, N                 # steps of the longest row, batch rows
    size_t itemsize
    const char* x                   # (T, N, K), features contiguous; strides in bytes
    Py_ssize_t x_t, x_n
    char* y                         # (T, N, >= H), features contiguous; strides in bytes
    Py_ssize_t y_t, y_n
    Py_ssize_t planes               # of state: 1, or 2 for an LSTM
    char* states[MAX_PLANES]        # h (and c), each (N, H), contiguous: the initial state, then the final one
    char* tape                      # (T, N, tape planes * H), features contiguous; or NULL; strides in bytes
    Py_ssize_t tape_t, tape_n
    const cnp.intp_t* lengths       # (N,), or NULL: every row has T steps
    const cnp.intp_t* order         # (N,) rows by falling length, or NULL with lengths
    bint reverse


cdef inline Sequence sequence_of(
    cnp.ndarray x, cnp.ndarray y, tuple states, lengths, order, bint reverse, tape
):
    """Pointers and strides of arrays that the caller has checked."""
    cdef Sequence seq
    cdef cnp.ndarray plane
    cdef Py_ssize_t p
    seq.T, seq.N = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1)
    seq.itemsize = cnp.PyArray_ITEMSIZE(x)
    seq.x = cnp.PyArray_BYTES(x)
    seq.x_t, seq.x_n = cnp.PyArray_STRIDE(x, 0), cnp.PyArray_STRIDE(x, 1)
    seq.y = cnp.PyArray_BYTES(y)
    seq.y_t, seq.y_n = cnp.PyArray_STRIDE(y, 0), cnp.PyArray_STRIDE(y, 1)
    seq.planes = len(states)
    if seq.planes > MAX_PLANES:
        raise ValueError(f"a state has at most {<int>MAX_PLANES} planes; got {seq.planes}")
    for p in range(seq.planes):
        plane = states[p]
        seq.states[p] = cnp.PyArray_BYTES(plane)
    seq.lengths = NULL
    seq.order = NULL
    if lengths is not None:
        seq.lengths = <const cnp.intp_t*>cnp.PyArray_DATA(lengths)
        seq.order = <const cnp.intp_t*>cnp.PyArray_DATA(order)
    seq.tape = NULL
    seq.tape_t = seq.tape_n = 0
    if tape is not None:
        seq.tape = cnp.PyArray_BYTES(tape)
        seq.tape_t, seq.tape_n = cnp.PyArray_STRIDE(tape, 0), cnp.PyArray_STRIDE(tape, 1)
    seq.reverse = reverse
    return seq


cdef inline Py_ssize_t row_of(const Sequence* seq, Py_ssize_t i) noexcept nogil:
    """The batch row that is visited as number i."""
    return i if seq.order == NULL else seq.order[i]


cdef inline Py_ssize_t length_of(const Sequence* seq, Py_ssize_t row) noexcept nogil:
    return seq.T if seq.lengths == NULL else seq.lengths[row]


cdef inline Py_ssize_t time_of(const Sequence* seq, Py_ssize_t row, Py_ssize_t s) noexcept nogil:
    """The time index of a row's step s."""
    return length_of(seq, row) - 1 - s if seq.reverse else s


cdef inline Py_ssize_t active_at(const Sequence* seq, Py_ssize_t s, Py_ssize_t active) noexcept nogil:
    """How many rows still run at step s, given how many ran before."""
    while active > 0 and length_of(seq, row_of(seq, active - 1)) <= s:
        active -= 1
    return active


cdef inline char* state_row(const Sequence* seq, Py_ssize_t plane, Py_ssize_t i, Py_ssize_t size) noexcept nogil:
    """A plane's row of the row visited as number i, of `size` bytes."""
    return seq.states[plane] + row_of(seq, i) * size


cdef inline const char* x_row(const Sequence* seq, Py_ssize_t row, Py_ssize_t s) noexcept nogil:
    return seq.x + time_of(seq, row, s) * seq.x_t + row * seq.x_n


cdef inline char* y_row(const Sequence* seq, Py_ssize_t row, Py_ssize_t s) noexcept nogil:
    return seq.y + time_of(seq, row, s) * seq.y_t + row * seq.y_n


cdef inline char* tape_row(const Sequence* seq, Py_ssize_t i, Py_ssize_t s) noexcept nogil:
    """The tape of the row visited as number i; NULL where there is no tape, or no sequence at all."""
    if seq == NULL or seq.tape == NULL:
        return NULL
    return seq.tape + time_of(seq, row_of(seq, i), s) * seq.tape_t + row_of(seq, i) * seq.tape_n


cdef inline void clear_padding(const Sequence* seq, Py_ssize_t hidden_size) noexcept nogil:
    """y = 0 past each row's length."""
    cdef Py_ssize_t row, t
    if seq.lengths == NULL:
        return
    for row in range(seq.N):
        for t in range(seq.lengths[row], seq.T):
            memset(seq.y + t * seq.y_t + row * seq.y_n, 0, hidden_size * seq.itemsize)
