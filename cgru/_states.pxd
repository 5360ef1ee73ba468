"""Between a stream's state and NumPy's arrays: for each model a tuple of planes (layers, N, H), empty of a Linear."""

cimport numpy as cnp
from cgru._running cimport Running, advance, hold, lay_out, release
from libc.string cimport memcpy


cdef inline copy_states(const Running* r, tuple states, bint store):
    """All rows, from the arrays or into them."""
    cdef cnp.ndarray plane
    cdef Py_ssize_t p, m = 0, k = 0, size
    for planes in states:
        for p in range(len(planes)):
            plane = planes[p]
            size = r.counts[m] * r.N * r.row[k]
            if store:
                memcpy(r.state + r.at[k][p], cnp.PyArray_BYTES(plane), size)
            else:
                memcpy(cnp.PyArray_BYTES(plane), r.state + r.at[k][p], size)
        k += r.counts[m]
        m += 1


cdef inline move_rows(Running* r, tuple states, cnp.ndarray rows, bint store):
    """Arrays (layers, n, H) from these n rows (intp), or into them."""
    cdef Running some = r[0]
    cdef bytearray memory
    cdef const cnp.intp_t* index = <const cnp.intp_t*>cnp.PyArray_DATA(rows)
    some.N = cnp.PyArray_SIZE(rows)
    lay_out(&some)
    memory = bytearray(some.size)
    some.state = memory
    if store:
        copy_states(&some, states, True)
        copy_rows(r, &some, some.state, index, True)
    else:
        copy_rows(r, &some, some.state, index, False)
        copy_states(&some, states, False)


cdef inline void copy_rows(
    const Running* r, const Running* some, char* state, const cnp.intp_t* index, bint store
) noexcept nogil:
    """Between rows of a state and a `state` of these some.N rows alone."""
    cdef Py_ssize_t layer, p, i, size
    cdef char* row
    cdef char* other
    for layer in range(r.layers):
        size = r.row[layer]
        for p in range(r.kernels[layer].planes):
            other = state + some.at[layer][p]
            for i in range(some.N):
                row = r.state + r.at[layer][p] + index[i] * size
                if store:
                    memcpy(row, other + i * size, size)
                else:
                    memcpy(other + i * size, row, size)


cdef inline set_states(Running* r, long generation, tuple states, cnp.ndarray rows):
    """Arrays (layers, n, H) into these n rows (intp) of the state, or into all (None), while nobody else has it."""
    hold(r, generation, rows is None)
    try:
        if rows is None:
            copy_states(r, states, True)
        else:
            move_rows(r, states, rows, True)
    finally:
        release(&r.busy)


cdef inline advance_rows(Running* r, cnp.ndarray rows, cnp.ndarray x, cnp.ndarray y):
    """One step of these n rows (intp), x (n, K) to y (n, O)."""
    cdef Running some = r[0]
    cdef bytearray memory
    cdef const cnp.intp_t* index = <const cnp.intp_t*>cnp.PyArray_DATA(rows)
    some.N = cnp.PyArray_SIZE(rows)
    if some.N == 0:
        return
    lay_out(&some)
    memory = bytearray(2 * some.size)
    some.state = memory
    some.new_state = some.state + some.size
    copy_rows(r, &some, some.state, index, False)
    with nogil:
        advance(&some, cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y))
    copy_rows(r, &some, some.state, index, True)


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
