"""Pools: streams over one model that come and go, and of which any number makes a step together.

The states of all streams are rows of one `Running`. The rows of a step are gathered, block by block, into another one
as large as a block; that advances, and its rows are scattered: the bits of a row are those of a stream.
"""

cimport numpy as cnp
from cgru._gathered cimport Part, advance_rows_of, are_ints, loses, make_part, pause, read_ints, shape_of
from cgru._running cimport LONG_STEP, Running, aligned, hold, lay_out, release, take_kernels
from cgru._states cimport is_plain, move_rows
from cgru.stream cimport generation
from libc.stdint cimport int64_t

from types import GenericAlias

import numpy as np

from cgru import forward_chain
from cgru import pool_arguments as arguments
from cgru.layout import LAYOUTS
from cgru.stream_arguments import check_streamable, empty_states, step_input, step_output
from cgru.summary import multiply_adds
from cgru.threads import in_threads, thread_count

cnp.import_array()

cdef Py_ssize_t BLOCK = 64              # rows that go through all layers together
cdef double LONG_JOB = 1 << 22          # of each thread: some 50 us, as long as its start takes
cdef int64_t SLOTS = (1 << arguments.SLOT_BITS) - 1


cdef class Pool:
    """Streams over one model that come and go, and of which any number makes a step together. Made by a model's `pool`.

    Each gives what its own `Stream` would, to the last bit, whoever else joins, leaves or stays silent.

    Parameters
    ----------
    model : GRU, LSTM, RNN or Sequential
        Any number of layers, one direction.
    capacity : int
        The most streams that can be open at a time; memory is that of so many.
    threads : int, default 1
        Threads over which the streams of a step are split where that is worth it; -1 is all cores.

    Raises
    ------
    TypeError, ValueError
        A model of another kind, bidirectional or reversed; capacity or threads that are no integers or below 1.

    Notes
    -----
    A pool belongs to one caller at a time: use from a second thread while a call is running raises RuntimeError and
    changes nothing. With engine "blas", whose bits depend on the number of rows, streams step one by one.
    """

    cdef readonly object model
    """The model that its streams run."""
    cdef readonly Py_ssize_t capacity
    """The most streams that can be open at a time."""
    cdef readonly Py_ssize_t threads
    """Over how many threads a step may be split."""
    cdef Running all                    # the states of all places; nothing of it runs
    cdef Part* parts                    # one for each thread that there may be work for
    cdef Py_ssize_t count               # of them
    cdef double products                # multiply-adds of one row
    cdef int typenum
    cdef object dtype, models
    cdef list memories                  # of the parts
    cdef cnp.ndarray memory, ids_of, given, seen, free, slots, memory_of_parts
    cdef Py_ssize_t open_count
    cdef int64_t stamp                  # of this step
    cdef const char* x                  # of the step that is running
    cdef char* y

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, model, capacity, *, threads=1):
        """See the class."""

    def __cinit__(self, model, capacity, *, threads=1):
        cdef Py_ssize_t most
        skip = getattr(check_streamable(model), "skip", False)
        self.capacity, self.threads = arguments.checked_capacity(capacity), thread_count(threads)
        self.model, self.dtype, self.models = model, model.dtype, forward_chain.parts(model)
        self.typenum = cnp.NPY_FLOAT if self.dtype == np.float32 else cnp.NPY_DOUBLE
        self.products = sum([multiply_adds(one.weights) for one in self.models])
        take_kernels(&self.all, self.models)
        self.all.N = self.capacity
        lay_out(&self.all)
        self.memory = np.zeros(self.all.size + 64, np.uint8)
        self.all.state = aligned(cnp.PyArray_BYTES(self.memory))
        most = BLOCK if all([one.engine == "packed" for one in self.models]) else 1
        self.count = min(self.threads, self.capacity)
        self.memory_of_parts = np.zeros(self.count * sizeof(Part), np.uint8)
        self.parts = <Part*>cnp.PyArray_DATA(self.memory_of_parts)
        self.memories = [
            make_part(self.parts + k, self.models, min(most, self.capacity), skip) for k in range(self.count)
        ]
        self.ids_of = np.full(self.capacity, -1, np.int64)
        self.given, self.seen = np.zeros(self.capacity, np.int64), np.zeros(self.capacity, np.int64)
        self.free = np.arange(self.capacity, dtype=np.intp)[::-1].copy()
        self.slots = np.empty(self.capacity, np.intp)

    def __len__(self):
        return self.open_count

    def __contains__(self, id):
        return isinstance(id, int | np.integer) and int(id) in self.ids_of[self.ids_of >= 0]

    @property
    def ids(self):
        """The ids of the open streams, int64 (len(pool),), in the order in which they were opened."""
        found = self.ids_of.copy()
        return np.sort(found[found >= 0])

    def open(self, hx=None):
        """Open a stream.

        Parameters
        ----------
        hx : array_like, or for an LSTM (array_like, array_like), optional
            Its initial state (num_layers, H); of a Sequential a tuple with each recurrent layer's own. By default the
            one stored with the model, or zeros.

        Returns
        -------
        int
            Its id, which no other stream in this process has or has had.

        Raises
        ------
        RuntimeError, TypeError, ValueError
            The pool is full, or running in another thread; hx of the wrong form.
        """
        states = forward_chain.states_of(self.model, hx, 1, False)
        self._hold()
        try:
            if self.open_count == self.capacity:
                raise arguments.full(self.capacity)
            slot = int(self.free[self.capacity - 1 - self.open_count])
            id = arguments.new_id(slot)
            move_rows(&self.all, states, np.array([slot], np.intp), True)
            self.ids_of[slot] = id
            self.open_count += 1
        finally:
            release(&self.all.busy)
        return id

    def close(self, id):
        """Close a stream: there is room for another one, which gets another id.

        Raises
        ------
        RuntimeError, TypeError, ValueError
            The pool is running in another thread; no id of an open stream.
        """
        number = arguments.id_of(id)
        self._hold()
        try:
            slot = self._slot(number)
            self.ids_of[slot] = -1
            self.open_count -= 1
            self.free[self.capacity - 1 - self.open_count] = slot
        finally:
            release(&self.all.busy)

    def state(self, id):
        """A stream's state, a copy: (num_layers, H), an LSTM's a pair; of a Sequential a tuple with each layer's own.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            As of `close`.
        """
        states = empty_states(self.models, 1, self.dtype)
        self._move(arguments.id_of(id), states, False)
        return forward_chain.as_given(self.model, states, LAYOUTS[False, False])

    def set_state(self, id, hx):
        """Set a stream's state, to one that `state` gave here or elsewhere, or with None to the initial one.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            As of `close`; hx of the wrong form. The state stays as it was.
        """
        self._move(arguments.id_of(id), forward_chain.states_of(self.model, hx, 1, False), True)

    cdef _move(self, number, tuple states, bint store):
        self._hold()
        try:
            move_rows(&self.all, states, np.array([self._slot(number)], np.intp), store)
        finally:
            release(&self.all.busy)

    cdef int _hold(self) except -1:
        return hold(&self.all, generation, False, "pool", "make a new one")

    cdef Py_ssize_t _slot(self, int64_t id) except -1:
        cdef int64_t slot = id & SLOTS
        if id < 0 or slot >= self.capacity or (<int64_t*>cnp.PyArray_DATA(self.ids_of))[slot] != id:
            raise arguments.not_open(id)
        return slot

    def step(self, ids, x, out=None):
        """Advance some streams by one time step; the others stay as they are.

        Parameters
        ----------
        ids : sequence of int, or int
            (M,) ids of open streams, each once, in any order; M may be 0. Of many an int64 array is the fastest.
        x : array_like
            (M, I), a row for each; (I,) for one id. What is no C-contiguous ndarray of the model's dtype is converted.
        out : ndarray, optional
            Where to put the result: (M, O) or (O,), the model's dtype, C-contiguous. With it a step in one thread
            allocates nothing, ids being an int64 array, an int, or a list of ints. It may overlap x, which is copied
            first where rows would be lost.

        Returns
        -------
        ndarray
            (M, O), or (O,): y of this step, of a recurrent model the top layer's new state, O = H; `out` where given.

        Raises
        ------
        RuntimeError, TypeError, ValueError
            The pool is running in another thread; an id that is not open, or given twice; x or out that do not fit. No
            state is changed.
        KeyboardInterrupt
            Ctrl-C while several threads computed: all these streams have made the step.
        """
        cdef cnp.ndarray numbers = None, x_rows, y
        cdef int64_t* given = <int64_t*>cnp.PyArray_DATA(self.given)
        cdef Py_ssize_t M, ndim
        if (
            cnp.PyArray_CheckExact(ids) and cnp.PyArray_TYPE(<cnp.ndarray>ids) == cnp.NPY_INT64
            and cnp.PyArray_NDIM(<cnp.ndarray>ids) == 1 and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>ids)
        ):
            numbers = <cnp.ndarray>ids
        elif not are_ints(ids, self.capacity, &ndim, &M):
            numbers = arguments.id_array(ids)
        if numbers is not None:
            M, ndim = cnp.PyArray_SIZE(numbers), cnp.PyArray_NDIM(numbers) + 1
        if is_plain(x, self.typenum, ndim, M, self.all.K):
            x_rows = <cnp.ndarray>x
        else:
            x_rows = step_input(x, self.dtype, shape_of(ndim, M, self.all.K), " for these ids", "x", "pool")
        if out is None:
            y = np.empty(shape_of(ndim, M, self.all.O), self.dtype)
        else:
            if not (
                is_plain(out, self.typenum, ndim, M, self.all.O) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)
            ):
                step_output(out, self.dtype, shape_of(ndim, M, self.all.O))
            y = <cnp.ndarray>out
            if loses(&self.all, cnp.PyArray_BYTES(x_rows), cnp.PyArray_BYTES(y), M):
                x_rows = x_rows.copy()
        self._hold()
        try:
            if numbers is None:
                read_ints(ids, M, given)
            self._find(given if numbers is None else <int64_t*>cnp.PyArray_DATA(numbers), M)
            self.x, self.y = cnp.PyArray_BYTES(x_rows), cnp.PyArray_BYTES(y)
            self._advance(M)
        finally:
            self.x, self.y = NULL, NULL
            release(&self.all.busy)
        return y

    cdef int _find(self, const int64_t* ids, Py_ssize_t M) except -1:
        """The places of these streams, into `slots`."""
        cdef const int64_t* ids_of = <const int64_t*>cnp.PyArray_DATA(self.ids_of)
        cdef int64_t* seen = <int64_t*>cnp.PyArray_DATA(self.seen)
        cdef cnp.intp_t* slots = <cnp.intp_t*>cnp.PyArray_DATA(self.slots)
        cdef int64_t slot
        cdef Py_ssize_t i
        self.stamp += 1
        for i in range(M):
            slot = ids[i] & SLOTS
            if ids[i] < 0 or slot >= self.capacity or ids_of[slot] != ids[i]:
                raise arguments.not_open(ids[i], i)
            if seen[slot] == self.stamp:
                raise arguments.twice(ids[i], i)
            seen[slot], slots[i] = self.stamp, slot
        return 0

    cdef _advance(self, Py_ssize_t M):
        cdef Py_ssize_t jobs = min(self.count, <Py_ssize_t>(self.products * M / LONG_JOB)) if M > 1 else 1
        if jobs > 1:
            self._advance_in_threads(M, jobs)
        elif self.products * M >= LONG_STEP:
            with nogil:
                self._run(0, 0, M)
        else:
            self._run(0, 0, M)

    cdef _advance_in_threads(self, Py_ssize_t M, Py_ssize_t jobs):
        """All streams make the step, also where an interrupt comes: none does in compiled code."""
        waiting, ended = {k: (k * M // jobs, (k + 1) * M // jobs) for k in range(jobs)}, []

        def run(Py_ssize_t k):
            cdef Py_ssize_t first, end
            span = waiting.pop(k, None)         # whoever takes it out is the only one to run it
            if span is not None:
                first, end = span
                with nogil:
                    self._run(k, first, end)
                ended.append(k)

        try:
            in_threads(run, [(k,) for k in range(jobs)])
        finally:
            for k in range(jobs):
                run(k)
            while len(ended) < jobs:            # another thread is still at it
                with nogil:
                    pause()

    cdef void _run(self, Py_ssize_t k, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
        cdef const cnp.intp_t* slots = <const cnp.intp_t*>cnp.PyArray_DATA(self.slots)
        advance_rows_of(&self.all, self.parts + k, slots, self.x, self.y, first, end)

    def __reduce__(self):
        raise TypeError("a pool cannot be pickled or copied: its streams move by state(), open(hx) and set_state()")

    def __repr__(self):
        return f"Pool({self.model!r}, {self.capacity}, threads={self.threads})"
