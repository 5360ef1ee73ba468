"""The bits of float32 numbers, and numbers from bits."""

from libc.stdint cimport uint32_t

cdef extern from *:
    """
    static CYTHON_INLINE float cgru_as_float(uint32_t bits)
    {
        float number;
        memcpy(&number, &bits, sizeof number);
        return number;
    }

    static CYTHON_INLINE uint32_t cgru_bits_of(float number)
    {
        uint32_t bits;
        memcpy(&bits, &number, sizeof bits);
        return bits;
    }
    """
    float as_float "cgru_as_float"(uint32_t bits) noexcept nogil
    uint32_t bits_of "cgru_bits_of"(float number) noexcept nogil
