"""Weights packed into panels, and their product with rows of x, whatever their type.

A weight matrix of M rows and K columns becomes panels of WIDTH = 3 * LANES of its rows, transposed:

    panel p:   K x WIDTH weights, contiguous     p[k][c] = weight of column k for the output p * WIDTH + c

M is a multiple of LANES (packing.py sees to that), so what is left for the last panel is 1 or 2 vectors
of LANES: it is that narrow, K x LANES or K x 2 * LANES. Everything begins with a cache line. A type of weights has a
file of its own, such as _panels_float32.pxd, with its products. An output is one chain of additions in one order,
whatever the tile, the batch and the instruction set: so a row's bits depend on that row alone.
"""

cdef struct Panels


cdef struct Panels:
    Py_ssize_t K                        # columns of the matrix
    Py_ssize_t columns                  # outputs: rows of the matrix
    Py_ssize_t full, extra              # panels of WIDTH, and vectors in the narrow one, 0 to 2
    const void* data                    # (full, K, WIDTH), then (K, extra * LANES)
    const float* bias                   # (columns,)
    # out = bias + x W^T: x are `rows` pointers to K floats; out is (rows, columns), its rows ld apart
    void (*product)(
        const Panels* panels, Py_ssize_t rows, const float* const* x, float* out, Py_ssize_t ld
    ) noexcept nogil
    # the products of two matrices with a single row each, W x and U h, where W is these panels
    void (*product_pair)(
        const Panels* W, const float* const* x, float* gi, const Panels* U, const float* const* h, float* gh
    ) noexcept nogil
