"""Rows of a state that is kept elsewhere, gathered block by block for a step and scattered again: of a pool."""

cimport numpy as cnp
from cgru._running cimport Running, advance, aligned, lay_out, place, plan
from cgru._states cimport copy_rows
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.stdint cimport int64_t

cdef extern from *:
    """
    /* some 50 us in which no signal is looked at */
    static void cgru_pause(void)
    {
        PyThread_type_lock lock = PyThread_allocate_lock();
        if (lock == NULL)
            return;
        PyThread_acquire_lock(lock, WAIT_LOCK);
        if (PyThread_acquire_lock_timed(lock, 50, 0) == PY_LOCK_FAILURE)
            PyThread_release_lock(lock);
        PyThread_free_lock(lock);
    }
    """
    void pause "cgru_pause"() noexcept nogil


cdef struct Part:                       # what one thread runs
    Running block                       # of the rows that are gathered
    Py_ssize_t most                     # how many that may be
    char* start                         # of its memory


cdef inline cnp.ndarray make_part(Part* part, tuple models, Py_ssize_t most, bint skip):
    """Fill it in; the memory that it works in."""
    cdef cnp.ndarray memory
    part.most = part.block.N = most
    part.block.skip, part.block.together = skip, 1
    memory = cnp.PyArray_ZEROS(1, [<cnp.npy_intp>plan(&part.block, models)], cnp.NPY_UINT8, 0)
    part.start = aligned(cnp.PyArray_BYTES(memory))
    place(&part.block, part.start)
    return memory


cdef inline void advance_rows_of(
    const Running* all, Part* part, const cnp.intp_t* rows, const char* x, char* y, Py_ssize_t first, Py_ssize_t end
) noexcept nogil:
    """One step of rows[first .. end], with their x (M, K) and y (M, O)."""
    cdef Running* block = &part.block
    cdef Py_ssize_t n
    while first < end:
        n = min(end - first, part.most)
        if n != block.N:
            block.N = n
            lay_out(block)
            place(block, part.start)
        copy_rows(all, block, block.state, rows + first, False)
        advance(block, x + first * all.K * all.itemsize, y + first * all.O * all.itemsize)
        copy_rows(all, block, block.state, rows + first, True)
        first += n


cdef inline bint loses(const Running* all, const char* x, const char* y, Py_ssize_t M) noexcept:
    """Whether y overlaps x otherwise than row by row: rows of it are written before all of x are read."""
    cdef Py_ssize_t a = M * all.K * all.itemsize, b = M * all.O * all.itemsize
    return M > 1 and x < y + b and y < x + a and (x != y or a != b)


cdef inline tuple shape_of(Py_ssize_t ndim, object M, object features):
    """Of x or y of M ids, or of a single one, ndim 1."""
    return (features,) if ndim == 1 else (M, features)


cdef inline bint are_ints(object ids, Py_ssize_t most, Py_ssize_t* ndim, Py_ssize_t* M) except -1:
    """Whether `read_ints` reads them: Python's int, or a list or tuple of at most so many. Then ndim of x, and M."""
    if type(ids) is int:
        ndim[0] = M[0] = 1
        return fits(ids)
    if (type(ids) is not list and type(ids) is not tuple) or len(ids) > most:
        return False
    for one in ids:
        if type(one) is not int or not fits(one):
            return False
    ndim[0], M[0] = 2, len(ids)
    return True


cdef inline bint fits(object number) except -1:
    """Whether int64 holds it."""
    cdef int over = 0
    PyLong_AsLongLongAndOverflow(number, &over)
    return over == 0


cdef inline int read_ints(object ids, Py_ssize_t M, int64_t* into) except -1:
    """M ids, into an array."""
    cdef Py_ssize_t k
    if type(ids) is int:
        into[0] = ids
        return 0
    if len(ids) != M:
        raise ValueError("ids changed in length while x was read")
    for k in range(M):
        into[k] = ids[k]
    return 0
