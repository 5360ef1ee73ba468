"""Panels of bfloat16 weights: expanded in registers, then the arithmetic of float32 (_tile.pxd)."""

from cgru.engines._panels cimport BFLOAT16, Panels
from cgru.engines._products cimport product, product_pair


cdef inline void product_bfloat16(
    const Panels* panels, Py_ssize_t rows, const float* const* x, float* out, Py_ssize_t ld, void* memory
) noexcept nogil:
    product(BFLOAT16, panels, rows, x, out, ld)


cdef inline void product_pair_bfloat16(
    const Panels* W, const float* const* x, float* gi, const Panels* U, const float* const* h, float* gh, void* memory
) noexcept nogil:
    product_pair(BFLOAT16, W, x, gi, U, h, gh)
