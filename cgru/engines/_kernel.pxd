"""One step of a direction for N rows, without Python: what a stream, or anything else that keeps a state, is built on.

A direction hands out a capsule named KERNEL_NAME with a pointer to its Kernel. Whoever holds that pointer keeps the
direction alive.
"""

cdef extern from *:
    """
    #define CGRU_KERNEL_NAME "cgru.engines.Kernel"
    """
    const char* KERNEL_NAME "CGRU_KERNEL_NAME"

cdef enum:
    MAX_PLANES = 2                      # of state: h, and an LSTM's c


cdef struct Kernel:
    const void* direction               # its weights and sizes
    Py_ssize_t K, H                     # features in, hidden units
    Py_ssize_t planes, itemsize         # arrays of state, bytes of a number
    # bytes of scratch memory for N rows
    Py_ssize_t (*scratch)(const void* direction, Py_ssize_t N) noexcept nogil
    # new_states from states and x (N, K), whose rows lie ldx numbers apart; ldx is at least K and fits an int, or it is
    # 0 (but of a Linear): all rows have the same x, which is multiplied once.
    # States are `planes` pointers to (N, H), contiguous: h, and an LSTM's c. The new ones are not the old ones.
    void (*step)(
        const void* direction, Py_ssize_t N, const void* x, Py_ssize_t ldx,
        const void* const* states, void* const* new_states, void* scratch
    ) noexcept nogil
