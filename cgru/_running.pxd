"""A state that goes on from step to step: its memory, who holds it, one step of all layers. What streams are made of.

Memory is one block: the planes (layers, N, H) of the state, those of the next one, and scratch, each on its own cache
lines. The two states change places at every step.
"""

cimport numpy as cnp
from cgru.engines._kernel cimport KERNEL_NAME, MAX_PLANES, Kernel
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.string cimport memcpy

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    static inline long cgru_swap(long* flag, long old, long value)
    {
        __atomic_compare_exchange_n(flag, &old, value, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
        return old;
    }
    #define cgru_release(flag) __atomic_store_n((flag), 0, __ATOMIC_RELEASE)
    #else
    #include <intrin.h>
    #define cgru_swap(flag, old, value) _InterlockedCompareExchange((volatile long*)(flag), (value), (old))
    #define cgru_release(flag) ((void)_InterlockedExchange((volatile long*)(flag), 0))
    #endif
    """
    # writes `value` where `old` stands; what stood there is returned
    long swap "cgru_swap"(long* flag, long old, long value) noexcept nogil
    void release "cgru_release"(long* flag) noexcept nogil


cdef enum:
    MAX_LAYERS = 64


cdef struct Running:
    Kernel* kernels[MAX_LAYERS]
    Py_ssize_t layers, planes, N, K, H  # N rows, K features of the first layer, H hidden units
    Py_ssize_t row_bytes, plane_bytes   # of one layer's rows in a plane, of a plane
    long busy                           # 0, or the generation of the process in which a call is running
    char* states[MAX_PLANES]            # the state
    char* new_states[MAX_PLANES]        # the next one
    char* scratch


cdef inline Py_ssize_t plan(Running* r, model) except -1:
    """Take the model's kernels, and say how many bytes of memory `place` wants."""
    cdef Py_ssize_t layer, work = 0
    for layer in range(r.layers):
        r.kernels[layer] = <Kernel*>PyCapsule_GetPointer(model.directions[layer].kernel(), KERNEL_NAME)
        check_sizes(r, layer, model)
        work = max(work, r.kernels[layer].scratch(r.kernels[layer].direction, r.N))
    r.planes = r.kernels[0].planes
    r.row_bytes = r.N * r.H * r.kernels[0].itemsize
    r.plane_bytes = r.layers * r.row_bytes
    return 2 * r.planes * on_lines(r.plane_bytes) + work + 128


cdef inline check_sizes(const Running* r, Py_ssize_t layer, model):
    """Memory is laid out by what the model says; a subclass may say anything."""
    cdef const Kernel* kernel = r.kernels[layer]
    cdef tuple says, has                # Cython 3.3 never ends when it is to find their types itself
    says = (r.H if layer else r.K, r.H, model.dtype.itemsize, len(model.config.cell.states))
    has = (kernel.K, kernel.H, kernel.itemsize, kernel.planes)
    if says != has:
        raise ValueError(
            f"this {type(model).__name__} says that a layer has {says[0]} features, {says[1]} hidden units, "
            f"{says[2]} bytes a number and {says[3]} arrays of state, but it was built with {has}; its properties "
            "must not say other sizes than its config"
        )


cdef inline Py_ssize_t on_lines(Py_ssize_t size) noexcept nogil:
    """Bytes rounded up to whole cache lines."""
    return (size + 63) // 64 * 64


cdef inline void place(Running* r, char* memory) noexcept nogil:
    """Lay everything out in `memory`, which begins with a cache line."""
    cdef Py_ssize_t p, size = on_lines(r.plane_bytes)
    for p in range(r.planes):
        r.states[p] = memory + p * size
        r.new_states[p] = memory + (r.planes + p) * size
    r.scratch = memory + 2 * r.planes * size


cdef inline int hold(Running* r, long generation, bint whole=False) except -1:
    """Take hold of it; `whole`: for a new state of all rows, whatever the old one is."""
    cdef long holder = swap(&r.busy, 0, generation)
    if holder == 0:
        return 0
    if holder == generation:
        raise RuntimeError(
            "this stream is running in another thread; a stream belongs to one caller at a time: give each "
            "thread its own, they can share the model"
        )
    # a thread of the parent process, which does not exist here
    if not whole or swap(&r.busy, holder, generation) != holder:
        raise RuntimeError(
            "this stream was running in another thread when this process was forked, so its state is lost here: "
            "reset() it, or set its state"
        )
    return 0


cdef inline void advance(Running* r, const char* x, char* y) noexcept nogil:
    """One step: x (N, K) to y (N, H)."""
    cdef Py_ssize_t layer, p, ldx = r.K
    cdef Kernel* kernel
    cdef const void* old[MAX_PLANES]
    cdef void* new[MAX_PLANES]
    cdef char* states
    for layer in range(r.layers):
        kernel = r.kernels[layer]
        for p in range(r.planes):
            old[p] = r.states[p] + layer * r.row_bytes
            new[p] = r.new_states[p] + layer * r.row_bytes
        kernel.step(kernel.direction, r.N, x, ldx, old, new, r.scratch)
        x = <const char*>new[0]
        ldx = r.H
    memcpy(y, x, r.row_bytes)
    for p in range(r.planes):
        states = r.states[p]
        r.states[p] = r.new_states[p]
        r.new_states[p] = states


cdef inline load_planes(const Running* r, tuple planes):
    """The state into arrays (layers, N, H)."""
    cdef cnp.ndarray plane
    cdef Py_ssize_t p
    for p in range(r.planes):
        plane = planes[p]
        memcpy(cnp.PyArray_BYTES(plane), r.states[p], r.plane_bytes)


cdef inline store_planes(Running* r, tuple planes):
    """Arrays (layers, N, H) into the state."""
    cdef cnp.ndarray plane
    cdef Py_ssize_t p
    for p in range(r.planes):
        plane = planes[p]
        memcpy(r.states[p], cnp.PyArray_BYTES(plane), r.plane_bytes)


cdef inline store_rows(Running* r, tuple planes, cnp.ndarray rows):
    """Arrays (layers, n, H) into these n rows (intp) of the state."""
    cdef cnp.ndarray plane
    cdef Py_ssize_t p
    for p in range(r.planes):
        plane = planes[p]
        copy_rows(r, p, rows, cnp.PyArray_BYTES(plane), True)


cdef inline void copy_rows(const Running* r, Py_ssize_t p, cnp.ndarray rows, char* packed, bint store) noexcept:
    """Between rows of a plane of the state and n packed ones."""
    cdef const cnp.intp_t* index = <const cnp.intp_t*>cnp.PyArray_DATA(rows)
    cdef Py_ssize_t layer, k, n = cnp.PyArray_SIZE(rows), size = r.row_bytes // r.N
    cdef char* row
    for layer in range(r.layers):
        for k in range(n):
            row = r.states[p] + layer * r.row_bytes + index[k] * size
            if store:
                memcpy(row, packed, size)
            else:
                memcpy(packed, row, size)
            packed += size


cdef inline set_state(Running* r, long generation, tuple planes, cnp.ndarray rows):
    """Arrays (layers, n, H) into these n rows (intp) of the state, or into all (None), while nobody else has it."""
    hold(r, generation, rows is None)
    try:
        if rows is None:
            store_planes(r, planes)
        else:
            store_rows(r, planes, rows)
    finally:
        release(&r.busy)


cdef inline advance_rows(
    Running* r, cnp.ndarray rows, cnp.ndarray x, cnp.ndarray y, tuple planes, tuple new_planes
):
    """One step of these n rows (intp), x (n, K) to y (n, H); `planes`, `new_planes`: scratch (layers, n, H)."""
    cdef Running some = r[0]
    cdef cnp.ndarray plane
    cdef Py_ssize_t p
    some.N = cnp.PyArray_SIZE(rows)
    if some.N == 0:
        return
    some.row_bytes = r.row_bytes // r.N * some.N
    for p in range(r.planes):
        plane = planes[p]
        some.states[p] = cnp.PyArray_BYTES(plane)
        copy_rows(r, p, rows, some.states[p], False)
        plane = new_planes[p]
        some.new_states[p] = cnp.PyArray_BYTES(plane)
    with nogil:
        advance(&some, cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y))
    store_rows(r, new_planes, rows)


cdef inline bint is_plain(array, int typenum, int ndim, Py_ssize_t rows, Py_ssize_t features) noexcept:
    """An aligned, C-contiguous ndarray of this type and of shape (features,) or (rows, features)."""
    if not cnp.PyArray_CheckExact(array):
        return False
    cdef cnp.ndarray a = <cnp.ndarray>array
    return (
        cnp.PyArray_TYPE(a) == typenum
        and cnp.PyArray_NDIM(a) == ndim
        and cnp.PyArray_DIM(a, ndim - 1) == features
        and (ndim == 1 or cnp.PyArray_DIM(a, 0) == rows)
        and cnp.PyArray_ISCARRAY_RO(a)
    )
