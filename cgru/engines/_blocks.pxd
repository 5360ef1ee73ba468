"""What all cells do with a block of LANES hidden units."""

from cgru.engines._target cimport LANES
from cython cimport floating
from libc.string cimport memcpy, memset


cdef inline void pad_block(floating* block, const floating* source, Py_ssize_t count) noexcept nogil:
    """The last, short block of a row, with zeros behind it."""
    memset(block, 0, LANES * sizeof(floating))
    memcpy(block, source, count * sizeof(floating))


cdef inline floating arriving(const floating* dh, const floating* dy, Py_ssize_t j) noexcept nogil:
    """dh' of a unit: what comes from the step after, and what comes from y where dy is not NULL."""
    return dh[j] if dy == NULL else dh[j] + dy[j]
