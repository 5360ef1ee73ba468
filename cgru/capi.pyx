"""The functions behind cgru.h and `cimport cgru`: streams of a model for C, over the same memory and steps as `Stream`.

Other modules get them as a table, in the capsule `_C_API`. Nothing but `model_new` and `model_free` needs the GIL, and
nothing else touches Python: a run does not ask for Ctrl-C, for which it would need the GIL.
"""

from cgru cimport (
    CGRU_API_VERSION, CGRU_BAD_ARGUMENT, CGRU_BAD_ROWS, CGRU_BUSY, CGRU_IN_USE, CGRU_NO_MEMORY, CGRU_OK, cgru_model,
    cgru_stream,
)
from cgru._running cimport (
    SHORT_STEP, TOGETHER, Running, advance, advance_steps, lay_out, measure, place, release, swap, take_kernels,
)
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from cgru import forward_chain
from cgru.checks import BLAS_LIMIT
from cgru.stream_arguments import check_streamable
from cgru.summary import multiply_adds

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define cgru_add(count, value) ((void)__atomic_fetch_add((count), (value), __ATOMIC_ACQ_REL))
    #else
    #define cgru_add(count, value) ((void)_InterlockedExchangeAdd((volatile long*)(count), (value)))
    #endif
    #define CGRU_C_API_NAME "cgru.capi._C_API"
    """
    void add_to "cgru_add"(long* count, long value) noexcept nogil
    const char* C_API_NAME "CGRU_C_API_NAME"

cdef extern from "cgru.h":
    ctypedef struct Sizes "cgru_model":         # as it is filled
        Py_ssize_t input_size, output_size, state_size, itemsize

    ctypedef struct cgru_api:
        int version
        size_t size
        cgru_model* (*model_new)(object) except NULL
        int (*model_free)(cgru_model*) noexcept
        int (*stream_new)(cgru_model*, Py_ssize_t, cgru_stream**) noexcept nogil
        int (*stream_copy)(cgru_stream*, cgru_stream**) noexcept nogil
        int (*stream_free)(cgru_stream*) noexcept nogil
        int (*stream_reset)(cgru_stream*) noexcept nogil
        int (*stream_step)(cgru_stream*, const void*, void*) noexcept nogil
        int (*stream_run)(cgru_stream*, Py_ssize_t, const void*, void*) noexcept nogil
        int (*stream_get_state)(cgru_stream*, void*) noexcept nogil
        int (*stream_set_state)(cgru_stream*, const void*) noexcept nogil


cdef struct Handle:
    Sizes sizes                         # first: what C sees
    Running start                       # of one row, which only has its state: the initial one
    long streams                        # how many there are
    PyObject* model


cdef struct Flow:                       # a stream
    Running running
    Handle* handle
    char* memory                        # as it was allocated


cdef Py_ssize_t MOST_ROWS = BLAS_LIMIT


# ---- models


cdef cgru_model* model_new(object model) except NULL:
    cdef Handle* handle
    cdef tuple kept                     # what the kernels belong to may be the parts' alone
    check_streamable(model, linear=True)
    kept = (model, tuple(forward_chain.parts(model)))
    handle = <Handle*>calloc(1, sizeof(Handle))
    if handle == NULL:
        raise MemoryError("no memory for a model's handle")
    try:
        fill(handle, model, kept[1])
    except BaseException:
        free(handle.start.state)
        free(handle)
        raise
    Py_INCREF(kept)
    handle.model = <PyObject*>kept
    return <cgru_model*>handle


cdef int fill(Handle* handle, model, tuple parts) except -1:
    cdef Running* start = &handle.start
    cdef Py_ssize_t layer
    start.N, start.skip = 1, getattr(model, "skip", False)
    # not on BLAS: there rows of one product have other last bits than products of one row
    short = sum([multiply_adds(part.weights) for part in parts]) <= SHORT_STEP
    start.together = TOGETHER if short and all([part.engine == "packed" for part in parts]) else 1
    take_kernels(start, parts)
    lay_out(start)
    start.state = <char*>calloc(1, start.size)
    if start.state == NULL:
        raise MemoryError("no memory for a model's initial state")
    store_start(start, forward_chain.states_of(model, None, 1))
    handle.sizes.input_size, handle.sizes.output_size, handle.sizes.itemsize = start.K, start.O, start.itemsize
    for layer in range(start.layers):
        handle.sizes.state_size += start.kernels[layer].planes * (start.row[layer] // start.itemsize)
    return 0


cdef int store_start(Running* start, states) except -1:
    """For each model arrays (layers, 1, H)."""
    cdef bytes plane
    cdef Py_ssize_t m = 0, k = 0, p
    for planes in states:
        for p in range(len(planes)):
            plane = planes[p].tobytes()
            memcpy(start.state + start.at[k][p], <const char*>plane, len(plane))
        k += start.counts[m]
        m += 1
    return 0


cdef int model_free(cgru_model* model) noexcept:
    cdef Handle* handle = <Handle*>model
    cdef PyObject* held
    if handle == NULL:
        return CGRU_OK
    if swap(&handle.streams, 0, -1) != 0:
        return CGRU_IN_USE
    held = handle.model
    free(handle.start.state)
    free(handle)
    Py_DECREF(<object>held)
    return CGRU_OK


# ---- streams


cdef int stream_new(cgru_model* model, Py_ssize_t rows, cgru_stream** stream) noexcept nogil:
    cdef Handle* handle = <Handle*>model
    cdef Flow* flow
    if handle == NULL or stream == NULL:
        return CGRU_BAD_ARGUMENT
    stream[0] = NULL
    if rows < 1 or rows > MOST_ROWS:
        return CGRU_BAD_ROWS
    flow = <Flow*>calloc(1, sizeof(Flow))
    if flow == NULL:
        return CGRU_NO_MEMORY
    flow.running = handle.start
    flow.handle = handle
    if allocate(flow, rows) != CGRU_OK:
        free(flow)
        return CGRU_NO_MEMORY
    start_again(flow)
    add_to(&handle.streams, 1)
    stream[0] = <cgru_stream*>flow
    return CGRU_OK


cdef int allocate(Flow* flow, Py_ssize_t rows) noexcept nogil:
    cdef Running* r = &flow.running
    cdef Py_ssize_t size
    cdef double one
    r.N = 1
    one = measure(r)
    if one * rows > <double>((<size_t>-1) // 8):        # no number of bytes
        return CGRU_NO_MEMORY
    r.N = rows
    if rows > 1:
        r.together = 1
    size = measure(r)
    flow.memory = <char*>calloc(1, size)
    if flow.memory == NULL:
        return CGRU_NO_MEMORY
    place(r, flow.memory + (64 - <uintptr_t>flow.memory % 64) % 64)
    return CGRU_OK


cdef void start_again(Flow* flow) noexcept nogil:
    """The model's initial state into all rows."""
    cdef Running* r = &flow.running
    cdef const Running* start = &flow.handle.start
    cdef Py_ssize_t layer, p, i
    for layer in range(r.layers):
        for p in range(r.kernels[layer].planes):
            for i in range(r.N):
                memcpy(r.state + r.at[layer][p] + i * r.row[layer], start.state + start.at[layer][p], r.row[layer])


cdef int stream_copy(cgru_stream* stream, cgru_stream** copy) noexcept nogil:
    cdef Flow* flow = <Flow*>stream
    cdef int code
    if flow == NULL or copy == NULL:
        return CGRU_BAD_ARGUMENT
    copy[0] = NULL
    if swap(&flow.running.busy, 0, 1) != 0:
        return CGRU_BUSY
    code = stream_new(<cgru_model*>flow.handle, flow.running.N, copy)
    if code == CGRU_OK:
        memcpy((<Flow*>copy[0]).running.state, flow.running.state, flow.running.size)
    release(&flow.running.busy)
    return code


cdef int stream_free(cgru_stream* stream) noexcept nogil:
    cdef Flow* flow = <Flow*>stream
    if flow == NULL:
        return CGRU_OK
    if swap(&flow.running.busy, 0, 1) != 0:
        return CGRU_BUSY
    add_to(&flow.handle.streams, -1)
    free(flow.memory)
    free(flow)
    return CGRU_OK


cdef int stream_reset(cgru_stream* stream) noexcept nogil:
    cdef Flow* flow = <Flow*>stream
    if flow == NULL:
        return CGRU_BAD_ARGUMENT
    if swap(&flow.running.busy, 0, 1) != 0:
        return CGRU_BUSY
    start_again(flow)
    release(&flow.running.busy)
    return CGRU_OK


cdef int stream_step(cgru_stream* stream, const void* x, void* y) noexcept nogil:
    cdef Flow* flow = <Flow*>stream
    if flow == NULL or x == NULL or y == NULL:
        return CGRU_BAD_ARGUMENT
    if swap(&flow.running.busy, 0, 1) != 0:
        return CGRU_BUSY
    advance(&flow.running, <const char*>x, <char*>y)
    release(&flow.running.busy)
    return CGRU_OK


cdef int stream_run(cgru_stream* stream, Py_ssize_t steps, const void* x, void* y) noexcept nogil:
    cdef Flow* flow = <Flow*>stream
    cdef Running* r
    if flow == NULL or steps < 0 or (steps > 0 and (x == NULL or y == NULL)):
        return CGRU_BAD_ARGUMENT
    r = &flow.running
    if swap(&r.busy, 0, 1) != 0:
        return CGRU_BUSY
    advance_steps(
        r, steps, <const char*>x, r.N * r.K * r.itemsize, <char*>y, r.N * r.O * r.itemsize, False
    )
    release(&r.busy)
    return CGRU_OK


cdef int stream_get_state(cgru_stream* stream, void* state) noexcept nogil:
    return move_state(<Flow*>stream, <char*>state, False)


cdef int stream_set_state(cgru_stream* stream, const void* state) noexcept nogil:
    return move_state(<Flow*>stream, <char*>state, True)


cdef int move_state(Flow* flow, char* planes, bint store) noexcept nogil:
    """Between the stream and the caller's planes, (N, H) each, one after the other."""
    cdef Running* r
    cdef Py_ssize_t layer, p, size
    cdef char* plane
    if flow == NULL or planes == NULL:
        return CGRU_BAD_ARGUMENT
    r = &flow.running
    if swap(&r.busy, 0, 1) != 0:
        return CGRU_BUSY
    for layer in range(r.layers):
        size = r.N * r.row[layer]
        for p in range(r.kernels[layer].planes):
            plane = r.state + r.at[layer][p]
            if store:
                memcpy(plane, planes, size)
            else:
                memcpy(planes, plane, size)
            planes += size
    release(&r.busy)
    return CGRU_OK


# ---- the table

cdef cgru_api table
table.version, table.size = CGRU_API_VERSION, sizeof(cgru_api)
table.model_new, table.model_free = model_new, model_free
table.stream_new, table.stream_copy, table.stream_free = stream_new, stream_copy, stream_free
table.stream_reset, table.stream_step, table.stream_run = stream_reset, stream_step, stream_run
table.stream_get_state, table.stream_set_state = stream_get_state, stream_set_state

_C_API = PyCapsule_New(&table, C_API_NAME, NULL)
