"""Streams: a model fed step by step, with the state kept in between."""

cimport numpy as cnp
from cgru._running cimport (
    MAX_LAYERS, Running, advance, advance_rows, hold, is_plain, load_planes, place, plan, release, set_state,
    store_planes,
)

import os
from types import GenericAlias

import numpy as np

from cgru import forward
from cgru.checks import BLAS_LIMIT, check_size, input_array, output_array, refuse_overlap, row_numbers
from cgru.config import Config
from cgru.layout import LAYOUTS
from cgru.summary import multiply_adds

cnp.import_array()

# Of this process: one more than its parent's. A stream that is running holds it, so a child sees whose thread it was.
cdef long generation = 1


def _after_fork():
    global generation
    generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
# Multiply-adds of a step from which on the GIL is released for it: some 10 us, against 0.1 us for the release
cdef double LONG_STEP = 1 << 20


cdef class Stream:
    """A model with a running state: one step, or one chunk, at a time. Made by a model's `stream`.

    It computes what the model computes on the whole sequence; with ``engine="packed"`` to the last bit.

    Parameters
    ----------
    model : GRU, LSTM or RNN
        Any number of layers, one direction.
    batch_size : int, optional
        Rows N that run side by side; None for one row without a batch dimension.
    hx : array_like, or for an LSTM (array_like, array_like), optional
        Initial state, (num_layers, N, H) or (num_layers, H); an LSTM's is the pair (h_0, c_0). By default the one
        stored with the model, or zeros.

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
    cdef bint long_step
    cdef object dtype, memory

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, model, batch_size=None, hx=None):
        """See the class."""
        # __cinit__ does everything; this gives help() the arguments

    def __cinit__(self, model, batch_size=None, hx=None):
        if not isinstance(getattr(model, "config", None), Config):
            raise TypeError(f"model must be a GRU, LSTM or RNN; got {type(model).__name__}")
        model.config.check_one_way()
        self.model, self.dtype = model, model.dtype
        self.batch_size = None if batch_size is None else check_size("batch_size", batch_size)
        if batch_size is not None and self.batch_size > BLAS_LIMIT:
            raise ValueError(f"batch_size={batch_size} is above the limit of BLAS's integers ({BLAS_LIMIT})")
        self.running.N = 1 if batch_size is None else self.batch_size
        self.ndim = 1 if batch_size is None else 2
        self.typenum = cnp.NPY_FLOAT if self.dtype == np.float32 else cnp.NPY_DOUBLE
        self.running.layers = len(model.directions)
        self.running.K, self.running.H = model.input_size, model.hidden_size
        if self.running.layers > MAX_LAYERS:
            raise ValueError(f"a stream takes at most {<int>MAX_LAYERS} layers; this model has {self.running.layers}")
        self._allocate()
        self._set_state("hx", hx)

    cdef _allocate(self):
        cdef double products
        self.memory = np.zeros(plan(&self.running, self.model), np.uint8)
        cdef char* memory = cnp.PyArray_BYTES(self.memory)
        memory += (64 - self.memory.ctypes.data % 64) % 64
        place(&self.running, memory)
        products = multiply_adds(self.model.weights)
        self.long_step = products * self.running.N >= LONG_STEP

    cdef tuple _shape(self, Py_ssize_t features):
        """Of one step's input or output."""
        if self.ndim == 1:
            return (features,)
        return (self.running.N, features)

    cdef _set_state(self, str name, value):
        planes = forward.initial_states(self.model.weights, value, self.running.N, self.ndim == 2, name)
        set_state(&self.running, generation, planes, None)

    def step(self, x_t, out=None, rows=None):
        """Advance by one time step, all rows or some.

        Parameters
        ----------
        x_t : array_like
            (I,), or (N, I) with a batch size. An ndarray of the model's dtype, C-contiguous, takes the fast path;
            anything else is converted.
        out : ndarray, optional
            Where to put the result: (H,) or (N, H), the model's dtype, C-contiguous. With it a step allocates
            nothing. It may overlap x_t, which has been read by then.
        rows : int, slice, sequence of int or of bool, optional
            The rows that advance, as NumPy would index them; the others keep their state. x_t and the result are
            then (n, I) and (n, H) for these n in this order, (I,) and (H,) for a single index. By default all.

        Returns
        -------
        ndarray
            (H,) or (N, H), or (n, H): the top layer's new state; `out` where given.

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
            x = self._convert(x_t, self._shape(self.running.K))
        if out is None:
            y = self._new_output()
        else:
            if not (
                is_plain(out, self.typenum, self.ndim, self.running.N, self.running.H)
                and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)
            ):
                self._check(out, self._shape(self.running.H))
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
        index = self._row_numbers(rows)
        cdef cnp.ndarray x = self._convert(x_t, (*index.shape, self.running.K), " for these rows")
        shape = (*index.shape, self.running.H)
        if out is None:
            out = np.empty(shape, self.dtype)
        else:
            self._check(out, shape)
        planes, new_planes = self._new_planes(index.size), self._new_planes(index.size)
        index = np.ascontiguousarray(index)
        hold(&self.running, generation)
        try:
            advance_rows(&self.running, index, x, out, planes, new_planes)
        finally:
            release(&self.running.busy)
        return out

    cdef cnp.ndarray _new_output(self):
        cdef cnp.npy_intp shape[2]
        shape[0] = self.running.N if self.ndim == 2 else self.running.H
        shape[1] = self.running.H
        return cnp.PyArray_EMPTY(self.ndim, shape, self.typenum, 0)

    cdef cnp.ndarray _convert(self, x_t, tuple expected, str whom=""):
        x = input_array("x_t", x_t, self.dtype, self.running.K, "input_size")
        if x.shape != expected:
            raise ValueError(f"x_t has shape {x.shape}, this stream expects {expected}{whom}")
        return np.ascontiguousarray(x)

    cdef _check(self, out, tuple shape):
        output_array(out, self.dtype, shape)
        if type(out) is not np.ndarray:
            raise ValueError("out must be a numpy.ndarray, not of a subclass")

    cdef _row_numbers(self, rows):
        """One number () or several (n,), intp."""
        if self.ndim == 1:
            raise ValueError("rows of a stream without a batch size: it has one row; leave rows out")
        return row_numbers(rows, self.running.N)

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
            (T, H), (T, N, H) or (N, T, H): the top layer's state after every step; `out` where given.

        Raises
        ------
        TypeError, ValueError
            x or out of the wrong type, dtype or shape; an out that cannot be written to or overlaps x. The state
            stays as it was.
        RuntimeError
            The stream is running in another thread.
        """
        x = input_array("x", x, self.dtype, self.running.K, "input_size")
        form = self._layout()
        if x.ndim != self.ndim + 1 or form.time_major(x).shape[1] != self.running.N:
            expected = ", ".join(map(str, form.shape("T", self.running.N, self.running.K)))
            raise ValueError(f"x has shape {x.shape}, this stream expects ({expected})")
        x = form.time_major(x)
        shape = form.shape(len(x), self.running.N, self.running.H)
        if out is None:
            y = np.empty(shape, self.dtype)
        else:
            output_array(out, self.dtype, shape)
            refuse_overlap(out, "x", x)
            y = out
        planes = self._new_planes(self.running.N)
        hold(&self.running, generation)
        try:
            load_planes(&self.running, planes)
            inputs = forward.Inputs(x, planes, None, form)
            forward.run(self.model, inputs, y)
            store_planes(&self.running, inputs.states)
        finally:
            release(&self.running.busy)
        return y

    def _layout(self):
        return LAYOUTS[self.model.batch_first, self.ndim == 2]

    cdef tuple _new_planes(self, Py_ssize_t rows):
        """Arrays (layers, rows, H) for a state."""
        shape = (self.running.layers, rows, self.running.H)
        return tuple([np.empty(shape, self.dtype) for _ in range(self.running.planes)])

    @property
    def state(self):
        """The state (num_layers, N, H) or (num_layers, H), an LSTM's a pair (h, c): a read-only copy.

        Set it to go on from another one; `reset` with rows changes a part of it.
        """
        planes = self._new_planes(self.running.N)
        hold(&self.running, generation)
        try:
            load_planes(&self.running, planes)
        finally:
            release(&self.running.busy)
        for plane in planes:
            plane.flags.writeable = False
        return self._layout().state(planes)

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
        index = self._row_numbers(rows)
        planes = forward.initial_states(self.model.weights, hx, index.size, index.ndim == 1)
        set_state(&self.running, generation, planes, np.ascontiguousarray(index))

    def __reduce__(self):
        return _rebuild, (type(self), self.model, self.batch_size, self.state)

    def __repr__(self):
        return f"Stream({self.model!r}, batch_size={self.batch_size})"


def _rebuild(cls, model, batch_size, state):
    return cls(model, batch_size, state)
