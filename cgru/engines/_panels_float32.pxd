"""Panels of float32 weights."""

from cgru.engines._panels cimport FLOAT32, Panels
from cgru.engines._products cimport product, product_pair


cdef inline void product_float32(
    const Panels* panels, Py_ssize_t rows, const float* const* x, float* out, Py_ssize_t ld, void* memory
) noexcept nogil:
    product(FLOAT32, panels, rows, x, out, ld)


cdef inline void product_pair_float32(
    const Panels* W, const float* const* x, float* gi, const Panels* U, const float* const* h, float* gh, void* memory
) noexcept nogil:
    product_pair(FLOAT32, W, x, gi, U, h, gh)
