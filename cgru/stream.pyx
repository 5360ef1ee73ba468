"""Streams: a model fed step by step, with the state kept in between."""

cimport numpy as cnp
from cgru._running cimport (
    LONG_STEP, SHORT_STEP, TOGETHER, Running, advance, advance_steps, aligned, hold, place, plan, release,
)
from cgru._states cimport advance_rows, copy_states, is_plain, set_states
from cgru.engines._interrupt cimport raise_for

import os
from types import GenericAlias

import numpy as np

from cgru import forward_chain
from cgru import stream_arguments as arguments
from cgru.layout import LAYOUTS
from cgru.summary import multiply_adds

cnp.import_array()

generation = 1                          # see stream.pxd


def _after_fork():
    global generation
    generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


cdef class Stream:
    """A model with a running state: one step, or one chunk, at a time. Made by a model's `stream`.

    It computes what the model computes on the whole sequence; with ``engine="packed"`` to the last bit.

    Parameters
    ----------
    model : GRU, LSTM, RNN or Sequential
        Any number of layers, one direction.
    batch_size : int, optional
        Rows N that run side by side; None for one row without a batch dimension.
    hx : array_like, or for an LSTM (array_like, array_like), optional
        Initial state, (num_layers, N, H) or (num_layers, H); an LSTM's is the pair (h_0, c_0); of a Sequential a tuple
        with each recurrent layer's own. By default the one stored with the model, or zeros.

    Raises
    ------
    ValueError
        A bidirectional or reversed model, whose result at one step needs the steps that are still to come; hx of
        the wrong shape; a model that says other sizes than it has.
    TypeError
        A batch_size that is no integer; an LSTM's hx that is no pair.

    Notes
    -----
    A stream belongs to one caller at a time: use from a second thread while a call is running raises RuntimeError
    and changes nothing. The model may be shared. A stream that another thread was running while the process forked
    has lost its state in the child: there it must be reset first.
    """

    cdef readonly object model
    """The model that this stream runs."""
    cdef readonly object batch_size
    """Rows, or None for a stream without a batch dimension."""
    cdef Running running
    cdef int typenum, ndim
    cdef bint long_step, short_step
    cdef object dtype
    cdef cnp.ndarray memory
    cdef tuple parts                    # the models of a Sequential, or the model

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, model, batch_size=None, hx=None):
        """See the class."""
        # __cinit__ does everything; this gives help() the arguments

    def __cinit__(self, model, batch_size=None, hx=None):
        self.running.skip = getattr(arguments.check_streamable(model), "skip", False)
        self.model, self.dtype, self.parts = model, model.dtype, forward_chain.parts(model)
        self.batch_size = arguments.rows_of(batch_size)
        self.running.N = 1 if batch_size is None else self.batch_size
        self.ndim = 1 if batch_size is None else 2
        self.typenum = cnp.NPY_FLOAT if self.dtype == np.float32 else cnp.NPY_DOUBLE
        self._allocate()
        self._set_state("hx", hx)

    cdef _allocate(self):
        cdef double products = sum([multiply_adds(model.weights) for model in self.parts])
        self.long_step = products * self.running.N >= LONG_STEP
        self.short_step = products <= SHORT_STEP and self.running.N == 1
        self.running.together = TOGETHER if self.short_step else 1
        self.memory = np.zeros(plan(&self.running, self.parts), np.uint8)
        place(&self.running, aligned(cnp.PyArray_BYTES(self.memory)))

    cdef tuple _shape(self, Py_ssize_t features):
        """Of one step's input or output."""
        if self.ndim == 1:
            return (features,)
        return (self.running.N, features)

    cdef _set_state(self, str name, value):
        states = forward_chain.states_of(self.model, value, self.running.N, self.ndim == 2, name)
        set_states(&self.running, generation, states, None)

    def step(self, x_t, out=None, rows=None):
        """Advance by one time step, all rows or some.

        Parameters
        ----------
        x_t : array_like
            (I,), or (N, I) with a batch size. An ndarray of the model's dtype, C-contiguous, takes the fast path;
            anything else is converted.
        out : ndarray, optional
            Where to put the result: (O,) or (N, O), the model's dtype, C-contiguous. With it a step allocates
            nothing. It may overlap x_t, which has been read by then.
        rows : int, slice, sequence of int or of bool, optional
            The rows that advance, as NumPy would index them; the others keep their state. x_t and the result are
            then (n, I) and (n, O) for these n in this order, (I,) and (O,) for a single index. By default all.

        Returns
        -------
        ndarray
            (O,) or (N, O), or (n, O): y of this step, of a recurrent model the top layer's new state, O = H; `out`
            where given.

        Raises
        ------
        TypeError, ValueError
            x_t or out of the wrong type, dtype or shape; rows as in `reset`. The state stays as it was.
        RuntimeError
            The stream is running in another thread.
        """
        cdef cnp.ndarray x, y
        if rows is not None:
            return self._step_rows(x_t, out, rows)
        if is_plain(x_t, self.typenum, self.ndim, self.running.N, self.running.K):
            x = <cnp.ndarray>x_t
        else:
            x = arguments.step_input(x_t, self.dtype, self._shape(self.running.K))
        if out is None:
            y = self._new_output()
        else:
            if not (
                is_plain(out, self.typenum, self.ndim, self.running.N, self.running.O)
                and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)
            ):
                arguments.step_output(out, self.dtype, self._shape(self.running.O))
            y = <cnp.ndarray>out
        hold(&self.running, generation)
        if self.long_step:
            with nogil:
                advance(&self.running, cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y))
        else:
            advance(&self.running, cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y))
        release(&self.running.busy)
        return y

    cdef _step_rows(self, x_t, out, rows):
        index = arguments.row_index(rows, self.batch_size)
        expected = (*index.shape, self.running.K)
        cdef cnp.ndarray x = arguments.step_input(x_t, self.dtype, expected, " for these rows")
        shape = (*index.shape, self.running.O)
        if out is None:
            out = np.empty(shape, self.dtype)
        else:
            arguments.step_output(out, self.dtype, shape)
        index = np.ascontiguousarray(index)
        hold(&self.running, generation)
        try:
            advance_rows(&self.running, index, x, out)
        finally:
            release(&self.running.busy)
        return out

    cdef cnp.ndarray _new_output(self):
        cdef cnp.npy_intp shape[2]
        shape[0] = self.running.N if self.ndim == 2 else self.running.O
        shape[1] = self.running.O
        return cnp.PyArray_EMPTY(self.ndim, shape, self.typenum, 0)

    def run(self, x, out=None):
        """Advance by a chunk of time steps.

        Parameters
        ----------
        x : array_like
            (T, I), or with a batch size (T, N, I), (N, T, I) for a `batch_first` model; any T, 0 included.
        out : ndarray, optional
            Where to put the result: its shape and the model's dtype, C-contiguous, not overlapping x.

        Returns
        -------
        ndarray
            (T, O), (T, N, O) or (N, T, O): y of every step; `out` where given.

        Raises
        ------
        TypeError, ValueError
            x or out of the wrong type, dtype or shape; an out that cannot be written to or overlaps x. The state
            stays as it was.
        RuntimeError
            The stream is running in another thread.
        """
        form = self._layout()
        x, y = arguments.chunk(x, out, self.dtype, form, self.running.N, self.running.K, self.running.O)
        if self.short_step:
            self._run_steps(x, form.time_major(y))
            return y
        states = arguments.empty_states(self.parts, self.running.N, self.dtype)
        hold(&self.running, generation)
        try:
            copy_states(&self.running, states, False)
            forward_chain.run_steps(self.model, x, y, states, form)
            copy_states(&self.running, states, True)
        finally:
            release(&self.running.busy)
        return y

    cdef _run_steps(self, cnp.ndarray x, cnp.ndarray y):
        """Step by step, x (T, 1, I) to y (T, 1, O), or one and the same x and y again and again."""
        cdef Py_ssize_t steps = cnp.PyArray_DIM(x, 0), x_t = cnp.PyArray_STRIDE(x, 0), y_t = cnp.PyArray_STRIDE(y, 0)
        cdef int failed
        hold(&self.running, generation)
        try:
            with nogil:
                failed = advance_steps(&self.running, steps, cnp.PyArray_BYTES(x), x_t, cnp.PyArray_BYTES(y), y_t, True)
            if failed:
                raise_for(failed, "")
        finally:
            release(&self.running.busy)

    def prewarm(self, n):
        """Advance all rows by `n` steps of silence, x = 0, so that the state has settled; what comes out is dropped.

        Parameters
        ----------
        n : int
            At least 0.

        Raises
        ------
        TypeError, ValueError
            `n` is no such number.
        RuntimeError
            The stream is running in another thread.
        """
        x, y = arguments.silence(n, self.running.N, self.running.K, self.running.O, self.dtype)
        self._run_steps(x, y)

    def copy(self):
        """Another stream over the same model, in the same state."""
        return type(self)(self.model, self.batch_size, self.state)

    def _layout(self):
        return LAYOUTS[self.model.batch_first, self.ndim == 2]

    @property
    def state(self):
        """The state (num_layers, N, H) or (num_layers, H), an LSTM's a pair (h, c): a read-only copy.

        Of a Sequential a tuple with each recurrent layer's own.

        Set it to go on from another one; `reset` with rows changes a part of it.
        """
        states = arguments.empty_states(self.parts, self.running.N, self.dtype)
        hold(&self.running, generation)
        try:
            copy_states(&self.running, states, False)
        finally:
            release(&self.running.busy)
        return forward_chain.as_given(self.model, arguments.read_only(states), self._layout())

    @state.setter
    def state(self, value):
        if value is None:
            raise TypeError("state must be an array, or an LSTM's pair; got None: reset() starts again")
        self._set_state("state", value)

    def reset(self, hx=None, rows=None):
        """Start again, all rows or some.

        Parameters
        ----------
        hx : array_like, or for an LSTM (array_like, array_like), optional
            State to start from: as in the constructor, or where `rows` are given (num_layers, n, H) for these n, and
            (num_layers, H) for a single index. By default the one stored with the model, or zeros.
        rows : int, slice, sequence of int or of bool, optional
            The rows that start again, as NumPy would index them; the others go on. By default all.

        Raises
        ------
        TypeError, ValueError
            hx of the wrong form; rows that are no indices, twice the same, out of range, or of a stream without a
            batch size. The state stays as it was.
        RuntimeError
            The stream is running in another thread.

        Examples
        --------
        >>> stream = cgru.GRU(3, 5, rng=0).stream(batch_size=4)
        >>> y = stream.step(np.ones((4, 3)))
        >>> stream.reset(rows=2)
        >>> stream.state.any(axis=2)
        array([[ True,  True, False,  True]])
        """
        if rows is None:
            return self._set_state("hx", hx)
        index = arguments.row_index(rows, self.batch_size)
        states = forward_chain.states_of(self.model, hx, index.size, index.ndim == 1)
        set_states(&self.running, generation, states, np.ascontiguousarray(index))

    def __reduce__(self):
        return _rebuild, (type(self), self.model, self.batch_size, self.state)

    def __repr__(self):
        return f"Stream({self.model!r}, batch_size={self.batch_size})"


def _rebuild(cls, model, batch_size, state):
    return cls(model, batch_size, state)
