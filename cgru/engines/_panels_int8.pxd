"""Panels of int8 weights: rows of activations are quantised, then multiplied in exact integers.

What is computed is said in cgru/quantize.py.
"""

from cgru.engines._panels cimport INT8, Panels
from cgru.engines._products cimport product
from cgru.engines._tile_int8 cimport NUMBERS, SHIFT, finish_row, row_bytes
from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    static CYTHON_INLINE uint32_t cgru_bits_of(float number)
    {
        uint32_t bits;
        memcpy(&bits, &number, sizeof bits);
        return bits;
    }
    """
    uint32_t bits_of "cgru_bits_of"(float number) noexcept nogil

cdef enum:
    MAGNITUDE = 0x7FFFFFFF              # all of a float32 number but its sign
    INFINITE = 0x7F800000               # the magnitude of infinity; NaN's are greater
    TINY = 27 << 23                     # 2^-100
    NOT_A_NUMBER = 0x7FC00000
    MAGIC = 0x4B400000                  # 1.5 * 2^23: a small number plus this has its nearest integer in the low bits


cdef inline Py_ssize_t work_int8(Py_ssize_t depth) noexcept nogil:
    """Bytes of memory for a row: a pointer, and a quantised row on whole cache lines."""
    return sizeof(void*) + (row_bytes(depth) + 63) // 64 * 64


cdef inline void quantize_row(const float* a, Py_ssize_t K, char* row) noexcept nogil:
    """Scale and numbers of a row of activations; 0 up to whole vectors, where the weights are 0 too."""
    cdef uint32_t greatest = 0
    cdef unsigned char* numbers = <unsigned char*>row + NUMBERS
    cdef float scale, factor, m, magic
    cdef Py_ssize_t k
    memset(numbers + (K - 1) // 16 * 16, 0, 16)
    for k in range(K):
        greatest = max(greatest, bits_of(a[k]) & <uint32_t>MAGNITUDE)
    memcpy(&m, &greatest, sizeof(float))
    if <uint32_t>TINY <= greatest < <uint32_t>INFINITE:
        scale, factor = m / 127, 127 / m
        greatest = MAGIC
        memcpy(&magic, &greatest, sizeof(float))
        for k in range(K):
            numbers[k] = <unsigned char>(bits_of(a[k] * factor + magic) + SHIFT)
    else:
        scale = 0
        if greatest >= <uint32_t>INFINITE:
            greatest = NOT_A_NUMBER
            memcpy(&scale, &greatest, sizeof(float))
        for k in range(K):
            numbers[k] = SHIFT
    memcpy(row, &scale, sizeof(float))


cdef inline char* quantize_rows(
    const Panels* panels, Py_ssize_t rows, const float* const* x, void* memory
) noexcept nogil:
    """Pointers to the quantised rows at the start of `memory`; where the memory goes on behind them."""
    cdef char** pointers = <char**>memory
    cdef char* row = <char*>(pointers + rows)
    cdef Py_ssize_t r, size = panels.work - sizeof(void*)
    for r in range(rows):
        quantize_row(x[r], panels.K, row)
        if rows > 1:
            finish_row(row, panels.depth)
        pointers[r] = row
        row += size
    return row


cdef inline void product_int8(
    const Panels* panels, Py_ssize_t rows, const float* const* x, float* out, Py_ssize_t ld, void* memory
) noexcept nogil:
    if panels.columns == 0:
        return
    quantize_rows(panels, rows, x, memory)
    product(INT8, panels, rows, <const float* const*>memory, out, ld)


cdef inline void product_pair_int8(
    const Panels* W, const float* const* x, float* gi, const Panels* U, const float* const* h, float* gh, void* memory
) noexcept nogil:
    W.product(W, 1, x, gi, 0, memory)
    U.product(U, 1, h, gh, 0, memory)
