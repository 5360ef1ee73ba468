"""Weights packed into panels, and their product with rows of x, whatever their type.

A weight matrix of M rows and K columns becomes panels of WIDTH = 3 * LANES of its rows, transposed:

    panel p:   K x WIDTH weights, contiguous     p[k][c] = weight of column k for the output p * WIDTH + c

zero-padded to whole panels and 64-byte aligned (packing.py). A type of weights has a file of its own, such as
_panels_float32.pxd, with its products. An output is one chain of additions in one order, whatever the tile, the batch
and the instruction set: so a row's bits depend on that row alone.
"""

cdef struct Panels


cdef struct Panels:
    Py_ssize_t K                        # columns of the matrix
    Py_ssize_t count                    # panels
    const void* data                    # (count, K, WIDTH)
    const float* bias                   # (count, WIDTH)
    # out = bias + x W^T: x are `rows` pointers to K floats; out is (rows, count * WIDTH), its rows ld apart
    void (*product)(
        const Panels* panels, Py_ssize_t rows, const float* const* x, float* out, Py_ssize_t ld
    ) noexcept nogil
    # the products of two matrices with a single row each, W x and U h, where W is these panels
    void (*product_pair)(
        const Panels* W, const float* const* x, float* gi, const Panels* U, const float* const* h, float* gh
    ) noexcept nogil
