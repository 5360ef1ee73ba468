"""Weights packed into panels, and their product with rows of x, whatever their type.

A weight matrix of M rows and K columns becomes panels of WIDTH = 3 * LANES of its rows, transposed. The weights of 4
bytes stand together: one of float32, two of bfloat16, four of int8.

    panel p:   depth x WIDTH x (1, 2 or 4) weights, contiguous; depth = K over that number, rounded up
               p[d][c][j] = weight of column d * (1, 2 or 4) + j for the output p * WIDTH + c; 0 past K

M is a multiple of LANES (packing.py sees to that), so what is left for the last panel is 1 or 2 vectors
of LANES: it is that narrow. Everything begins with a cache line. Each type of weights has a file of its own, such as
_panels_float32.pxd; how rows and panels become tiles is the same for all (_products.pxd). An output is one chain of
additions in one order, or exact, whatever the tile, the batch and the instruction set: so a row's bits depend on that
row alone.
"""

from libc.stdint cimport int32_t


cdef enum:                              # types of weights
    FLOAT32 = 0
    BFLOAT16 = 1
    INT8 = 2


cdef struct Panels


cdef struct Panels:
    Py_ssize_t K                        # columns of the matrix
    Py_ssize_t depth                    # of a panel, in words of 4 bytes
    Py_ssize_t columns                  # outputs: rows of the matrix
    Py_ssize_t full, extra              # panels of WIDTH, and vectors in the narrow one, 0 to 2
    Py_ssize_t work                     # bytes of `memory` that a product wants for each row
    const void* data                    # (full, depth, WIDTH) words, then (depth, extra * LANES)
    const float* bias                   # (columns,)
    const float* scale                  # INT8: (columns,)
    const int32_t* start                # INT8: (columns,) what sums start from (dot_int8.h)
    # out = bias + x W^T: x are `rows` pointers to K floats; out is (rows, columns), its rows ld apart
    void (*product)(
        const Panels* panels, Py_ssize_t rows, const float* const* x, float* out, Py_ssize_t ld, void* memory
    ) noexcept nogil
    # the products of two matrices with a single row each, W x and U h, where W is these panels
    void (*product_pair)(
        const Panels* W, const float* const* x, float* gi, const Panels* U, const float* const* h, float* gh,
        void* memory
    ) noexcept nogil
