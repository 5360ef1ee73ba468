"""softmax over a row, forward and backward.

Sums are kept in SUMS parts whatever LANES is, number j in part j % SUMS, and the parts are added in one order: so every
instruction set that has the fused multiply-add gives the same bits.
"""

from cgru.engines._functions cimport exp_parts
from cgru.engines._target cimport fma
from cython cimport floating
from libc.math cimport INFINITY
from libc.string cimport memcpy

cdef enum:
    SUMS = 16


cdef inline floating sum_of_parts(floating* parts) noexcept nogil:
    """Of SUMS numbers, halved until one is left; they are overwritten."""
    cdef Py_ssize_t j, width = SUMS // 2
    while width > 0:
        for j in range(width):
            parts[j] += parts[j + width]
        width //= 2
    return parts[0]


cdef inline floating largest_of_row(const floating* y, Py_ssize_t count) noexcept nogil:
    """A NaN is passed over; -inf where there is nothing else."""
    cdef floating parts[SUMS]
    cdef floating best = <floating>-INFINITY
    cdef Py_ssize_t i = 0, j
    for j in range(SUMS):
        parts[j] = best
    while i + SUMS <= count:
        for j in range(SUMS):
            parts[j] = y[i + j] if parts[j] < y[i + j] else parts[j]
        i += SUMS
    for j in range(count - i):
        best = y[i + j] if best < y[i + j] else best
    for j in range(SUMS):
        best = parts[j] if best < parts[j] else best
    return best


cdef inline void exponentials(
    floating* y, floating* parts, floating largest, floating low, const floating* k
) noexcept nogil:
    """e^(y - largest) of SUMS numbers in their places, and added to the parts; 0 from `low` on."""
    cdef floating block[SUMS]
    cdef floating x, p, scale
    cdef Py_ssize_t j
    memcpy(&block[0], y, SUMS * sizeof(floating))
    for j in range(SUMS):
        x = block[j] - largest
        x = low if x < low else x
        p = exp_parts(x, &scale, k)
        block[j] = fma(scale, p, scale)
    for j in range(SUMS):
        parts[j] += block[j]
    memcpy(y, &block[0], SUMS * sizeof(floating))


cdef inline void softmax_row(floating* y, Py_ssize_t count, const floating* k) noexcept nogil:
    """e^(y_j - m) / sum_i e^(y_i - m) in place, m the largest; k as `load_constants` leaves it.

    A NaN or +inf makes the row NaN, and so does a row of nothing but -inf; -inf beside others gives exactly 0.
    Off by 2.5e-7 and 1.1e-15 at most in rows of up to 1000 numbers (measured), 3.4e-7 and 2.7e-15 in rows of 5000.
    """
    cdef floating parts[SUMS]
    cdef floating last[SUMS]
    cdef floating low = <floating>(-88.0 if floating is float else -709.0)      # e^low has become 0
    cdef floating largest = largest_of_row(y, count), total
    cdef Py_ssize_t i = 0, j
    for j in range(SUMS):
        parts[j] = 0
    while i + SUMS <= count:
        exponentials(y + i, &parts[0], largest, low, k)
        i += SUMS
    if i < count:
        for j in range(SUMS):
            last[j] = <floating>-INFINITY                                       # adds 0
        for j in range(count - i):
            last[j] = y[i + j]
        exponentials(&last[0], &parts[0], largest, low, k)
        for j in range(count - i):
            y[i + j] = last[j]
    total = sum_of_parts(&parts[0])
    for j in range(count):
        y[j] = y[j] / total


cdef inline void softmax_slopes_row(
    const floating* y, const floating* dy, floating* da, Py_ssize_t count
) noexcept nogil:
    """da = y (dy - sum_i dy_i y_i) for y = softmax(a); da may be dy."""
    cdef floating parts[SUMS]
    cdef floating total
    cdef Py_ssize_t i = 0, j
    for j in range(SUMS):
        parts[j] = 0
    while i + SUMS <= count:
        for j in range(SUMS):
            parts[j] = fma(dy[i + j], y[i + j], parts[j])
        i += SUMS
    for j in range(count - i):
        parts[j] = fma(dy[i + j], y[i + j], parts[j])
    total = sum_of_parts(&parts[0])
    for j in range(count):
        da[j] = y[j] * (dy[j] - total)
