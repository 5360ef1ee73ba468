"""What a layer offers to a stream: one step of N rows, without Python.

The layer hands out a capsule named KERNEL_NAME with a pointer to its Kernel; whoever holds that pointer keeps the
layer alive.
"""

cdef extern from *:
    """
    #define CGRU_KERNEL_NAME "cgru.engines.Kernel"
    """
    const char* KERNEL_NAME "CGRU_KERNEL_NAME"


cdef struct Kernel:
    const void* cell                    # the layer's weights and sizes
    Py_ssize_t K, H, itemsize           # features in, hidden units, bytes of a number
    # bytes of scratch memory for N rows
    Py_ssize_t (*scratch)(const void* cell, Py_ssize_t N) noexcept nogil
    # h_new (N, H) from x (N, K) and h (N, H), all contiguous; h_new is not h
    void (*step)(
        const void* cell, Py_ssize_t N, const void* x, const void* h, void* h_new, void* scratch
    ) noexcept nogil
