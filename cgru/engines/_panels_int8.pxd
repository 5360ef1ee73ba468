"""Panels of int8 weights: rows of activations are quantised, then multiplied in exact integers.

What is computed is said in cgru/quantize.py.
"""

from cgru.engines._bits cimport as_float, bits_of
from cgru.engines._panels cimport INT8, Panels
from cgru.engines._products cimport product
from cgru.engines._tile_int8 cimport NUMBERS, SHIFT, finish_row, row_bytes
from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset

cdef enum:
    MAGNITUDE = 0x7FFFFFFF              # all of a float32 number but its sign
    INFINITE = 0x7F800000               # the magnitude of infinity; NaN's are greater
    TINY = 27 << 23                     # 2^-100
    NOT_A_NUMBER = 0x7FC00000


cdef inline Py_ssize_t work_int8(Py_ssize_t depth) noexcept nogil:
    """Bytes of memory for a row: a pointer, and a quantised row, rounded up to 64."""
    return sizeof(void*) + (row_bytes(depth) + 63) // 64 * 64


cdef inline void quantize_row(const float* a, Py_ssize_t K, char* row) noexcept nogil:
    """Scale and numbers of a row of activations; 0 up to whole vectors, where the weights are 0 too."""
    cdef uint32_t greatest = 0
    cdef unsigned char* numbers = <unsigned char*>row + NUMBERS
    cdef float m, scale, factor, magic = 1.5 * (1 << 23)   # plus a small number: its nearest integer in the low bits
    cdef Py_ssize_t k
    memset(numbers + (K - 1) // 16 * 16, 0, 16)
    for k in range(K):
        greatest = max(greatest, bits_of(a[k]) & <uint32_t>MAGNITUDE)
    if <uint32_t>TINY <= greatest < <uint32_t>INFINITE:
        m = as_float(greatest)
        scale, factor = m / 127, 127 / m
        for k in range(K):
            numbers[k] = <unsigned char>(bits_of(a[k] * factor + magic) + SHIFT)
    else:
        scale = as_float(NOT_A_NUMBER) if greatest >= <uint32_t>INFINITE else 0
        memset(numbers, SHIFT, K)
    memcpy(row, &scale, sizeof(float))


cdef inline void quantize_rows(
    const Panels* panels, Py_ssize_t rows, const float* const* x, void* memory
) noexcept nogil:
    """Into `memory`: pointers to the quantised rows, and behind them the rows."""
    cdef char** pointers = <char**>memory
    cdef char* row = <char*>(pointers + rows)
    cdef Py_ssize_t r, size = panels.work - sizeof(void*)
    for r in range(rows):
        quantize_row(x[r], panels.K, row)
        if rows > 1:
            finish_row(row, panels.depth)
        pointers[r] = row
        row += size


cdef inline void product_int8(
    const Panels* panels, Py_ssize_t rows, const float* const* x, float* out, Py_ssize_t ld, void* memory
) noexcept nogil:
    quantize_rows(panels, rows, x, memory)
    product(INT8, panels, rows, <const float* const*>memory, out, ld)


cdef inline void product_pair_int8(
    const Panels* W, const float* const* x, float* gi, const Panels* U, const float* const* h, float* gh, void* memory
) noexcept nogil:
    W.product(W, 1, x, gi, 0, memory)
    U.product(U, 1, h, gh, 0, memory)
