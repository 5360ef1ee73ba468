"""What all cells do with a block of LANES hidden units."""

from cgru.engines._target cimport LANES
from cython cimport floating
from libc.string cimport memcpy, memset


cdef inline Py_ssize_t padded(Py_ssize_t count) noexcept nogil:
    """Rounded up to whole blocks."""
    return (count + LANES - 1) // LANES * LANES


cdef inline void copy_short(floating* target, const floating* source, Py_ssize_t count) noexcept nogil:
    """1 to LANES numbers, in two copies of a fixed size that may overlap: a call of memcpy takes as long as a block."""
    cdef char* to = <char*>target
    cdef const char* at = <const char*>source
    cdef Py_ssize_t size = count * sizeof(floating)
    # the first halves of the conditions are known to the compiler: a block may be too small for such copies
    if LANES * sizeof(floating) > 64 and size > 64:
        memcpy(to, at, 64)
        memcpy(to + size - 64, at + size - 64, 64)
    elif LANES * sizeof(floating) > 32 and size >= 32:
        memcpy(to, at, 32)
        memcpy(to + size - 32, at + size - 32, 32)
    elif LANES * sizeof(floating) > 16 and size >= 16:
        memcpy(to, at, 16)
        memcpy(to + size - 16, at + size - 16, 16)
    elif size >= 8:
        memcpy(to, at, 8)
        memcpy(to + size - 8, at + size - 8, 8)
    else:
        memcpy(to, at, 4)


cdef inline void save(floating* target, const floating* block, Py_ssize_t count) noexcept nogil:
    """The first `count` units of a block."""
    if count == LANES:
        memcpy(target, block, LANES * sizeof(floating))
    else:
        copy_short(target, block, count)


cdef inline void pad_block(floating* block, const floating* source, Py_ssize_t count) noexcept nogil:
    """The last, short block of a row, with zeros behind it."""
    memset(block, 0, LANES * sizeof(floating))
    copy_short(block, source, count)


cdef inline floating arriving(const floating* dh, const floating* dy, Py_ssize_t j) noexcept nogil:
    """dh' of a unit: what comes from the step after, and what comes from y where dy is not NULL."""
    return dh[j] if dy == NULL else dh[j] + dy[j]


# a gate's slope: with `plain`, a compile-time constant, from its value v, or else from where slopes are

cdef inline floating slope_of_sigmoid(bint plain, floating v, const floating* slopes, Py_ssize_t j) noexcept nogil:
    return v * (<floating>1.0 - v) if plain else slopes[j]


cdef inline floating slope_of_tanh(bint plain, floating v, const floating* slopes, Py_ssize_t j) noexcept nogil:
    return <floating>1.0 - v * v if plain else slopes[j]
