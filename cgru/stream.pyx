"""Streams: a model fed step by step, with the state kept in between."""

cimport numpy as cnp
from cgru.engines._kernel cimport KERNEL_NAME, Kernel
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.string cimport memcpy

from types import GenericAlias

import numpy as np

from cgru import forward
from cgru.checks import BLAS_LIMIT, check_size, input_array
from cgru.config import Config
from cgru.layout import LAYOUTS

cnp.import_array()

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define cgru_acquire(flag) (__atomic_exchange_n((flag), 1, __ATOMIC_ACQUIRE) == 0)
    #define cgru_release(flag) __atomic_store_n((flag), 0, __ATOMIC_RELEASE)
    #else
    #include <intrin.h>
    #define cgru_acquire(flag) (_InterlockedExchange((volatile long*)(flag), 1) == 0)
    #define cgru_release(flag) ((void)_InterlockedExchange((volatile long*)(flag), 0))
    #endif
    """
    bint acquire "cgru_acquire"(long* flag) noexcept nogil
    void release "cgru_release"(long* flag) noexcept nogil

cdef enum:
    MAX_LAYERS = 64
    MAX_PLANES = 2

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
        the wrong shape.
    TypeError
        A batch_size that is no integer; an LSTM's hx that is no pair.

    Notes
    -----
    A stream belongs to one caller at a time: use from a second thread while a call is running raises RuntimeError
    and changes nothing. The model may be shared.
    """

    cdef readonly object model
    """The model that this stream runs."""
    cdef readonly object batch_size
    """Rows, or None for a stream without a batch dimension."""
    cdef Kernel* kernels[MAX_LAYERS]
    cdef Py_ssize_t layers, planes, N, K, H, row_bytes, plane_bytes
    cdef int typenum, ndim
    cdef bint long_step
    cdef long busy
    cdef char* states[MAX_PLANES]      # the state: planes (layers, N, H)
    cdef char* new_states[MAX_PLANES]  # the next one; the two change places at every step
    cdef char* scratch
    cdef object dtype, memory

    __class_getitem__ = classmethod(GenericAlias)

    # everything is done by __cinit__; this one gives help() the arguments
    def __init__(self, model, batch_size=None, hx=None):
        """See the class."""
        pass

    def __cinit__(self, model, batch_size=None, hx=None):
        _check_model(model)
        self.model, self.dtype = model, model.dtype
        self.batch_size = None if batch_size is None else check_size("batch_size", batch_size)
        if batch_size is not None and self.batch_size > BLAS_LIMIT:
            raise ValueError(f"batch_size={batch_size} is above the limit of BLAS's integers ({BLAS_LIMIT})")
        self.N = 1 if batch_size is None else self.batch_size
        self.ndim = 1 if batch_size is None else 2
        self.typenum = cnp.NPY_FLOAT if self.dtype == np.float32 else cnp.NPY_DOUBLE
        self.layers, self.K, self.H = len(model.directions), model.input_size, model.hidden_size
        if self.layers > MAX_LAYERS:
            raise ValueError(f"a stream takes at most {<int>MAX_LAYERS} layers; this model has {self.layers}")
        self._allocate()
        self._set_state("hx", hx)

    cdef _allocate(self):
        """One block of memory: the planes of the state and of the next one, scratch; each on its own cache lines."""
        cdef Py_ssize_t work = 0, layer, size, p
        cdef double products = 0
        cdef char* memory
        for layer in range(self.layers):
            capsule = self.model.directions[layer].kernel()
            self.kernels[layer] = <Kernel*>PyCapsule_GetPointer(capsule, KERNEL_NAME)
            work = max(work, self.kernels[layer].scratch(self.kernels[layer].direction, self.N))
            products += <double>self.model.config.cell.stacked * self.N * self.H * (self.H + self.kernels[layer].K)
        self.long_step = products >= LONG_STEP
        self.planes = self.kernels[0].planes
        self.row_bytes = self.N * self.H * self.kernels[0].itemsize       # of one layer
        self.plane_bytes = self.layers * self.row_bytes
        size = (self.plane_bytes + 63) // 64 * 64
        self.memory = np.zeros(2 * self.planes * size + work + 128, np.uint8)
        memory = cnp.PyArray_BYTES(self.memory)
        memory += (64 - self.memory.ctypes.data % 64) % 64
        for p in range(self.planes):
            self.states[p] = memory + p * size
            self.new_states[p] = memory + (self.planes + p) * size
        self.scratch = memory + 2 * self.planes * size

    cdef tuple _shape(self, Py_ssize_t features):
        """Of one step's input or output."""
        if self.ndim == 1:
            return (features,)
        return (self.N, features)

    cdef _set_state(self, str name, value):
        planes = forward.initial_states(self.model.weights, value, self.N, self.ndim == 2, name)
        self._enter()
        self._store(planes)
        release(&self.busy)

    cdef int _enter(self) except -1:
        if not acquire(&self.busy):
            raise RuntimeError(
                "this stream is running in another thread; a stream belongs to one caller at a time: give each "
                "thread its own, they can share the model"
            )
        return 0

    def step(self, x_t, out=None):
        """Advance by one time step.

        Parameters
        ----------
        x_t : array_like
            (I,), or (N, I) with a batch size. An ndarray of the model's dtype, C-contiguous, takes the fast path;
            anything else is converted.
        out : ndarray, optional
            Where to put the result: (H,) or (N, H), the model's dtype, C-contiguous. With it a step allocates
            nothing.

        Returns
        -------
        ndarray
            (H,) or (N, H): the top layer's new state; `out` where given.

        Raises
        ------
        TypeError, ValueError
            x_t or out of the wrong type, dtype or shape. The state stays as it was.
        RuntimeError
            The stream is running in another thread.
        """
        cdef cnp.ndarray x, y
        if self._is_plain(x_t, self.K):
            x = <cnp.ndarray>x_t
        else:
            x = self._convert(x_t)
        if out is None:
            y = self._new_output()
        else:
            if not (self._is_plain(out, self.H) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)):
                self._refuse(out)
            y = <cnp.ndarray>out
        self._enter()
        if self.long_step:
            with nogil:
                self._advance(cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y))
        else:
            self._advance(cnp.PyArray_BYTES(x), cnp.PyArray_BYTES(y))
        release(&self.busy)
        return y

    cdef inline bint _is_plain(self, array, Py_ssize_t features):
        """An ndarray of the model's dtype and this stream's shape, aligned, C-contiguous."""
        if not cnp.PyArray_CheckExact(array):
            return False
        cdef cnp.ndarray a = <cnp.ndarray>array
        return (
            cnp.PyArray_TYPE(a) == self.typenum
            and cnp.PyArray_NDIM(a) == self.ndim
            and cnp.PyArray_DIM(a, self.ndim - 1) == features
            and (self.ndim == 1 or cnp.PyArray_DIM(a, 0) == self.N)
            and cnp.PyArray_ISCARRAY_RO(a)
        )

    cdef cnp.ndarray _new_output(self):
        cdef cnp.npy_intp shape[2]
        shape[0] = self.N if self.ndim == 2 else self.H
        shape[1] = self.H
        return cnp.PyArray_EMPTY(self.ndim, shape, self.typenum, 0)

    cdef void _advance(self, const char* x, char* y) noexcept nogil:
        cdef Py_ssize_t layer, p, ldx = self.K
        cdef Kernel* kernel
        cdef const void* old[MAX_PLANES]
        cdef void* new[MAX_PLANES]
        cdef char* states
        for layer in range(self.layers):
            kernel = self.kernels[layer]
            for p in range(self.planes):
                old[p] = self.states[p] + layer * self.row_bytes
                new[p] = self.new_states[p] + layer * self.row_bytes
            kernel.step(kernel.direction, self.N, x, ldx, old, new, self.scratch)
            x = <const char*>new[0]
            ldx = self.H
        memcpy(y, x, self.row_bytes)
        for p in range(self.planes):
            states = self.states[p]
            self.states[p] = self.new_states[p]
            self.new_states[p] = states

    cdef cnp.ndarray _convert(self, x_t):
        x = input_array("x_t", x_t, self.dtype, self.K, "input_size")
        expected = self._shape(self.K)
        if x.shape != expected:
            raise ValueError(f"x_t has shape {x.shape}, this stream expects {expected}")
        return np.ascontiguousarray(x)

    cdef _refuse(self, out):
        expected = self._shape(self.H)
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be a NumPy array; got {type(out).__name__}")
        if out.dtype != self.dtype:
            raise TypeError(f"out has dtype {out.dtype}, expected {self.dtype}")
        if out.shape != expected:
            raise ValueError(f"out has shape {out.shape}, expected {expected}")
        raise ValueError("out must be a writeable, aligned, C-contiguous numpy.ndarray (no subclass)")

    def run(self, x):
        """Advance by a chunk of time steps.

        Parameters
        ----------
        x : array_like
            (T, I), or with a batch size (T, N, I), (N, T, I) for a `batch_first` model; any T, 0 included.

        Returns
        -------
        ndarray
            (T, H), (T, N, H) or (N, T, H): the top layer's state after every step.

        Raises
        ------
        TypeError, ValueError
            x of the wrong dtype or shape. The state stays as it was.
        RuntimeError
            The stream is running in another thread.
        """
        x = input_array("x", x, self.dtype, self.K, "input_size")
        form = self._layout()
        if x.ndim != self.ndim + 1 or form.time_major(x).shape[1] != self.N:
            expected = ", ".join(map(str, form.shape("T", self.N, self.K)))
            raise ValueError(f"x has shape {x.shape}, this stream expects ({expected})")
        x = form.time_major(x)
        y = np.empty(form.shape(len(x), self.N, self.H), self.dtype)
        self._enter()
        try:
            inputs = forward.Inputs(x, self._planes(), None, form)
            forward.run(self.model, inputs, y)
            self._store(inputs.states)
        finally:
            release(&self.busy)
        return y

    def _layout(self):
        return LAYOUTS[self.model.batch_first, self.ndim == 2]

    def _planes(self):
        """A copy of the state: planes (layers, N, H)."""
        cdef cnp.ndarray plane
        cdef Py_ssize_t p
        planes = tuple([np.empty((self.layers, self.N, self.H), self.dtype) for _ in range(self.planes)])
        for p in range(self.planes):
            plane = planes[p]
            memcpy(cnp.PyArray_BYTES(plane), self.states[p], self.plane_bytes)
        return planes

    def _store(self, tuple planes):
        cdef cnp.ndarray plane
        cdef Py_ssize_t p
        for p in range(self.planes):
            plane = planes[p]
            memcpy(self.states[p], cnp.PyArray_BYTES(plane), self.plane_bytes)

    @property
    def state(self):
        """The state (num_layers, N, H) or (num_layers, H), an LSTM's a pair (h, c): a copy. Set it to go on from another."""
        self._enter()
        planes = self._planes()
        release(&self.busy)
        return self._layout().state(planes)

    @state.setter
    def state(self, value):
        if value is None:
            raise TypeError("state must be an array, or an LSTM's pair; got None: reset() starts again")
        self._set_state("state", value)

    def reset(self, hx=None):
        """Start again, from `hx` (as in the constructor)."""
        self._set_state("hx", hx)

    def __reduce__(self):
        return _rebuild, (type(self), self.model, self.batch_size, self.state)

    def __repr__(self):
        return f"Stream({self.model!r}, batch_size={self.batch_size})"


def _check_model(model):
    """Refuse what is no model, and what needs steps that are still to come."""
    config = getattr(model, "config", None)
    if not isinstance(config, Config):
        raise TypeError(f"model must be a GRU, LSTM or RNN; got {type(model).__name__}")
    if not config.one_way:
        kind = "bidirectional" if config.bidirectional else "reversed"
        raise ValueError(
            f"a {kind} {config.cell.name} cannot be streamed: its result at one step needs the steps that are still "
            "to come; call the model on whole sequences"
        )


def _rebuild(cls, model, batch_size, state):
    return cls(model, batch_size, state)
