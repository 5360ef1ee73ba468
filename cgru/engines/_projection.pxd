"""The input half of a step in the blas engine: W x + b, of many steps at once or of one."""

from cgru.engines._blas cimport product_nt
from cgru.engines._matrices cimport Matrices
from cgru.engines._sequence cimport Sequence, active_at, row_of, x_row
from cython cimport floating
from libc.limits cimport INT_MAX
from libc.string cimport memcpy


cdef inline void project(
    const Matrices* m, const Sequence* seq, Py_ssize_t s_0, Py_ssize_t s_1, Py_ssize_t active,
    floating* gathered, floating* gi, Py_ssize_t quiet,
) noexcept nogil:
    """gi[rows, G] = x[rows, K] W^T + b for the rows active in steps s_0..s_1, step by step."""
    cdef Py_ssize_t K = m.K, rows = 0, s, i
    cdef Py_ssize_t size = sizeof(floating)
    cdef const floating* x = gathered
    cdef Py_ssize_t lda = K
    if seq.lengths == NULL and not seq.reverse and (seq.N == 1 or seq.x_t == seq.N * seq.x_n):
        x = <const floating*>x_row(seq, 0, s_0)
        rows = (s_1 - s_0) * seq.N
        lda = (seq.x_t if seq.N == 1 else seq.x_n) // size
        if lda < K or lda > INT_MAX:   # a broadcast view, or strides over BLAS's integers: gather
            x, rows, lda = gathered, 0, K
    if rows == 0:
        for s in range(s_0, s_1):
            active = active_at(seq, s, active)
            for i in range(active):
                memcpy(gathered + rows * K, x_row(seq, row_of(seq, i), s), K * size)
                rows += 1
    if rows == 0:
        return
    add_to_bias(m, rows, x, lda, gi, quiet)


cdef inline void add_to_bias(
    const Matrices* m, Py_ssize_t rows, const floating* x, Py_ssize_t ldx, floating* gi, Py_ssize_t quiet
) noexcept nogil:
    cdef Py_ssize_t K = m.K, G = m.G, i
    for i in range(rows):
        memcpy(gi + i * G, m.b, G * sizeof(floating))
    # gi[rows,G] = x[rows,K] W^T + b
    product_nt(rows, G, K, x, ldx, <const floating*>m.W, K, <floating>1.0, gi, G, quiet)
