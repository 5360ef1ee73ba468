"""Sliding windows: a model over the last T samples, at the latency of one step.

T rows hold the states of windows that began at different times. A new x goes into all of them, multiplied once; but
before that into the oldest one alone, whose result is the answer.
"""

cimport numpy as cnp
from cgru._running cimport LONG_STEP, Running, advance, aligned, hold, on_lines, place, plan, release, step_layer
from cgru._states cimport copy_rows, copy_states, is_plain
from cgru.stream cimport generation
from libc.string cimport memcpy

from types import GenericAlias

import numpy as np

from cgru import forward_chain
from cgru.stream_arguments import check_streamable, rows_of, step_input, step_output
from cgru.summary import multiply_adds

cnp.import_array()


cdef class Window:
    """A model over the last T samples, at the latency of one step. Made by a model's `window`.

    y = model(x_{t-T+1}, ..., x_t), from the initial state: its last step. T rows hold the states of windows that began
    at different times. A new x goes into all of them; the oldest row's result is the answer, and it begins anew.

    Parameters
    ----------
    model : GRU, LSTM, RNN or Sequential
        Any number of layers, one direction.
    T : int
        Steps of a window.
    hx : array_like, or for an LSTM (array_like, array_like), optional
        The state from which every window starts, as of a stream. By default the one stored with the model, or zeros.

    Raises
    ------
    ValueError
        A bidirectional or reversed model; T below 1; hx of the wrong shape.
    TypeError
        A model of another kind; T that is no integer; an LSTM's hx that is no pair.

    Notes
    -----
    With engine "packed" the answers are those of the model to the last bit. A window belongs to one caller at a time:
    use from a second thread while a call is running raises RuntimeError and changes nothing. The GIL is released for
    the other rows, and for an answer from about a million multiply-adds on: to get it back from another thread can
    take milliseconds, which a shorter answer would not be worth.
    """

    cdef readonly object model
    """The model that is run."""
    cdef readonly Py_ssize_t T
    """Steps of a window."""
    cdef Running rows, one              # `one.saved` is the state from which windows start
    cdef Py_ssize_t settled             # samples that all rows have seen
    cdef bint pending                   # whether there is one more, in x, which only the answer has seen
    cdef Py_ssize_t recurrent           # layers up to the last one with a state
    cdef bint long_step
    cdef char* x
    cdef object dtype
    cdef int typenum
    cdef tuple models
    cdef cnp.ndarray memory, memory_of_one

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, model, T, hx=None):
        """See the class."""

    def __cinit__(self, model, T, hx=None):
        cdef Py_ssize_t layer
        self.one.skip = getattr(check_streamable(model), "skip", False)
        self.T = rows_of(T, "T")
        self.model, self.dtype, self.models = model, model.dtype, forward_chain.parts(model)
        self.typenum = cnp.NPY_FLOAT if self.dtype == np.float32 else cnp.NPY_DOUBLE
        self.long_step = sum([multiply_adds(one.weights) for one in self.models]) >= LONG_STEP
        self.rows.N, self.one.N = self.T, 1
        self.rows.together = self.one.together = 1
        self.memory = np.zeros(plan(&self.rows, self.models), np.uint8)
        self.memory_of_one = np.zeros(plan(&self.one, self.models) + on_lines(self.one.K * self.one.itemsize), np.uint8)
        for layer in range(self.one.layers):
            if self.one.kernels[layer].planes:
                self.recurrent = layer + 1
        self.reset(hx)

    cdef _place(self):
        """Where states are: a thread that is lost in a fork may have left it half changed."""
        place(&self.rows, aligned(cnp.PyArray_BYTES(self.memory)))
        self.x = aligned(cnp.PyArray_BYTES(self.memory_of_one))
        place(&self.one, self.x + on_lines(self.one.K * self.one.itemsize))

    def reset(self, hx=None):
        """Forget all samples.

        Parameters
        ----------
        hx : array_like, or for an LSTM (array_like, array_like), optional
            The state from which every window starts from now on. By default the one stored with the model, or zeros.

        Raises
        ------
        TypeError, ValueError
            hx of the wrong form. Nothing is changed.
        RuntimeError
            The window is running in another thread.
        """
        states = forward_chain.states_of(self.model, hx, 1, False)
        self._hold(True)
        self._place()
        copy_states(&self.one, states, True)
        memcpy(self.one.saved, self.one.state, self.one.size)
        self.settled, self.pending = 0, False
        self._begin(0)
        release(&self.rows.busy)

    @property
    def count(self):
        """Samples that have come since the start; an answer is over the last T of them."""
        return self.settled + self.pending

    cdef int _hold(self, bint whole=False) except -1:
        return hold(&self.rows, generation, whole, "window", "reset() it")

    def step(self, x, out=None):
        """Take a new sample, and return y of the last T, or of all while there are fewer.

        What is left to do, the other rows' step, is `settle`: done by the next step where nobody calls it.

        Parameters
        ----------
        x : array_like
            (I,). An ndarray of the model's dtype, C-contiguous, takes the fast path; anything else is converted.
        out : ndarray, optional
            Where to put the result: (O,), the model's dtype, C-contiguous. With it a step allocates nothing. It may
            overlap x.

        Returns
        -------
        ndarray
            (O,): y of the window's last step; `out` where given.

        Raises
        ------
        TypeError, ValueError
            x or out of the wrong type, dtype or shape. The window stays as it was.
        RuntimeError
            The window is running in another thread.
        """
        cdef cnp.ndarray sample, y
        cdef cnp.npy_intp size = self.one.O
        if is_plain(x, self.typenum, 1, 1, self.one.K):
            sample = <cnp.ndarray>x
        else:
            sample = step_input(x, self.dtype, (self.one.K,), "", "x", "window")
        if out is None:
            y = cnp.PyArray_EMPTY(1, &size, self.typenum, 0)
        else:
            if not (is_plain(out, self.typenum, 1, 1, self.one.O) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)):
                step_output(out, self.dtype, (self.one.O,))
            y = <cnp.ndarray>out
        self._hold()
        if self.pending:
            with nogil:
                self._settle()
        memcpy(self.x, cnp.PyArray_BYTES(sample), self.one.K * self.one.itemsize)
        if self.long_step:
            with nogil:
                self._answer(cnp.PyArray_BYTES(y))
        else:
            self._answer(cnp.PyArray_BYTES(y))
        release(&self.rows.busy)
        return y

    def settle(self):
        """Advance the rows that the last answer did not need, so that the next step is as short as a stream's.

        Raises
        ------
        RuntimeError
            The window is running in another thread.
        """
        self._hold()
        if self.pending:
            with nogil:
                self._settle()
        release(&self.rows.busy)

    cdef void _begin(self, cnp.intp_t row) noexcept nogil:
        """A window starts in this row."""
        copy_rows(&self.rows, &self.one, self.one.saved, &row, True)

    cdef void _answer(self, char* y) noexcept nogil:
        """y of the oldest row, whose state is left alone. Row k began with sample k modulo T."""
        cdef cnp.intp_t oldest = (self.settled + 1) % self.T if self.settled >= self.T - 1 else 0
        copy_rows(&self.rows, &self.one, self.one.state, &oldest, False)
        advance(&self.one, self.x, y)
        self.pending = True

    cdef void _settle(self) noexcept nogil:
        """All rows see x, and the oldest one, through with its window, begins anew."""
        cdef Running* rows = &self.rows
        cdef Py_ssize_t layer
        cdef bint shared = True             # by all rows: x, or what Linears make of it
        cdef const char* below = self.x
        cdef char* state = rows.state
        for layer in range(self.recurrent if self.T > 1 else 0):
            if shared and self.one.kernels[layer].planes == 0:
                below = step_layer(&self.one, layer, below, self.one.state, self.one.new_state)
            else:
                below = step_layer(rows, layer, below, rows.state, rows.new_state, shared)
                shared = False
        if self.T > 1:
            rows.state = rows.new_state
            rows.new_state = state
        self.settled = self.settled + 1         # Cython: += would ask for the GIL with checks for None
        self.pending = False
        self._begin(self.settled % self.T)

    def __reduce__(self):
        raise TypeError("a window cannot be pickled or copied: make a new one and give it the last T samples")

    def __repr__(self):
        return f"Window({self.model!r}, T={self.T})"
