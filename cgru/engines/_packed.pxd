"""What a direction of the packed engine consists of, and the scratch memory of its time loop."""

from cgru.engines._blocks cimport padded
from cgru.engines._cells cimport Cell
from cgru.engines._panels cimport Panels
from cgru.engines._sequence cimport Sequence, active_at, row_of, x_row
from cgru.engines._target cimport LANES
from libc.stdint cimport uintptr_t

cdef enum:
    SCRATCH = 512 << 10                 # bytes of input projections per time chunk: in L2 beside the weights


cdef struct Packed:                     # a direction
    Cell cell
    Py_ssize_t K                        # features in
    Py_ssize_t rows                     # the most that go through the time loop together
    Panels W                            # b + W x
    Panels U                            # c + U h, or the first two gates of it
    Panels V                            # reset_after=False: c_n + U_n (r h); else without columns


cdef struct Scratch:
    float* gi                           # (rows of a chunk, W.columns)
    float* gh                           # (N, U.columns)
    float* hn                           # (N, V.columns)
    float* rh                           # (N, H), rows rounded up to blocks
    void* work                          # what products want for themselves
    const float** x_rows                # where the rows of a chunk are
    # (N,) each, for every active row:
    float** h_rows                      # where its old state is
    float** y_rows                      # where its new state goes
    float** c_rows                      # an LSTM's c, old
    float** c_new_rows                  # and new
    float** tape_rows
    float** rh_rows                     # where its r h is, in rh


cdef inline Py_ssize_t scratch_size(const Packed* packed, Py_ssize_t rows, Py_ssize_t N) noexcept nogil:
    """Bytes for a chunk of `rows` rows and a batch of N; row pointers first.

    LANES numbers that the gates read too much stand behind the others, and then the products' own memory.
    """
    cdef Py_ssize_t floats = rows * packed.W.columns + N * packed.U.columns + LANES
    if packed.V.columns:
        floats += N * (packed.V.columns + padded(packed.cell.H))
    return (
        (rows + 6 * N) * <Py_ssize_t>sizeof(float*) + floats * <Py_ssize_t>sizeof(float)
        + max(rows * packed.W.work, N * packed.U.work) + 128
    )


cdef inline Scratch scratch_at(const Packed* packed, Py_ssize_t rows, Py_ssize_t N, void* memory) noexcept nogil:
    cdef Scratch scratch
    scratch.x_rows = <const float**>memory
    scratch.h_rows = <float**>scratch.x_rows + rows
    scratch.y_rows = scratch.h_rows + N
    scratch.c_rows = scratch.y_rows + N
    scratch.c_new_rows = scratch.c_rows + N
    scratch.tape_rows = scratch.c_new_rows + N
    scratch.rh_rows = scratch.tape_rows + N
    # blocks on cache lines, so that a vector store touches one
    scratch.gi = <float*>((<uintptr_t>(scratch.rh_rows + N) + 63) // 64 * 64)
    scratch.gh = scratch.gi + rows * packed.W.columns
    scratch.hn = scratch.gh + N * packed.U.columns
    scratch.rh = scratch.hn + N * packed.V.columns
    scratch.work = scratch.rh + (N * padded(packed.cell.H) if packed.V.columns else 0) + LANES
    return scratch


cdef inline Py_ssize_t chunk_steps(const Packed* packed, const Sequence* seq) noexcept nogil:
    """Steps of a time chunk: their sums of W x and their x take some SCRATCH bytes."""
    cdef Py_ssize_t row = (packed.W.columns + packed.K) * sizeof(float)
    return min(max(1, SCRATCH // (seq.N * row)), seq.T)


cdef inline void project(
    const Packed* packed, const Sequence* seq, Py_ssize_t s_0, Py_ssize_t s_1, Py_ssize_t active, Scratch* scratch
) noexcept nogil:
    """gi[rows, :] = b + x[rows, K] W^T for the rows active in steps s_0..s_1, step by step."""
    cdef Py_ssize_t rows = 0, s, i
    for s in range(s_0, s_1):
        active = active_at(seq, s, active)
        for i in range(active):
            scratch.x_rows[rows + i] = <const float*>x_row(seq, row_of(seq, i), s)
        rows += active
    packed.W.product(&packed.W, rows, scratch.x_rows, scratch.gi, packed.W.columns, scratch.work)
