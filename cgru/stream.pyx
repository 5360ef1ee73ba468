"""Streams: a model fed step by step, with the state kept in between."""

cimport numpy as cnp
from cgru.engines._kernel cimport KERNEL_NAME, Kernel
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.string cimport memcpy

import numpy as np

from cgru._arguments import input_array, state_array
from cgru.weights import BLAS_LIMIT, check_size

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

# Multiply-adds of a step from which on the GIL is released for it: some 10 us, against 0.1 us for the release
cdef double LONG_STEP = 1 << 20


cdef class Stream:
    """A model with a running state: one step, or one chunk, at a time. Made by `GRU.stream`.

    It computes what the model computes on the whole sequence; with ``engine="packed"`` to the last bit.

    Parameters
    ----------
    model : GRU
        Any number of layers, one direction.
    batch_size : int, optional
        Rows N that run side by side; None for one row without a batch dimension.
    h_0 : array_like, optional
        Initial state, (num_layers, N, H) or (num_layers, H), of the model's dtype. By default the one stored with
        the model, or zeros.

    Raises
    ------
    ValueError
        A bidirectional or reversed model, whose result at one step needs the steps that are still to come; h_0 of
        the wrong shape.
    TypeError
        h_0 of the wrong dtype, or a batch_size that is no integer.

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
    cdef Py_ssize_t layers, N, K, H, row_bytes, state_bytes
    cdef int typenum, ndim
    cdef bint long_step
    cdef long busy
    cdef char* h                       # the state (layers, N, H)
    cdef char* h_new                   # the next one; the two change places at every step
    cdef char* scratch
    cdef object dtype, memory, cells

    def __init__(self, model, batch_size=None, h_0=None):
        """See the class."""
        pass

    def __cinit__(self, model, batch_size=None, h_0=None):
        if not hasattr(model, "_stream_cells"):
            raise TypeError(f"model must be a GRU; got {type(model).__name__}")
        self.cells = model._stream_cells()
        self.model, self.dtype = model, model.dtype
        self.batch_size = None if batch_size is None else check_size("batch_size", batch_size)
        if batch_size is not None and self.batch_size > BLAS_LIMIT:
            raise ValueError(f"batch_size={batch_size} is above the limit of BLAS's integers ({BLAS_LIMIT})")
        self.N = 1 if batch_size is None else self.batch_size
        self.ndim = 1 if batch_size is None else 2
        self.typenum = cnp.NPY_FLOAT if self.dtype == np.float32 else cnp.NPY_DOUBLE
        self.layers, self.K, self.H = len(self.cells), model.input_size, model.hidden_size
        if self.layers > MAX_LAYERS:
            raise ValueError(f"a stream takes at most {<int>MAX_LAYERS} layers; this model has {self.layers}")
        self._allocate()
        self._set_state("h_0", self._initial() if h_0 is None else h_0)

    cdef _allocate(self):
        """One block of memory: state, next state, scratch; each on its own cache lines."""
        cdef Py_ssize_t work = 0, layer, size, offset
        cdef double products = 0
        for layer in range(self.layers):
            capsule = self.cells[layer].step_kernel()
            self.kernels[layer] = <Kernel*>PyCapsule_GetPointer(capsule, KERNEL_NAME)
            work = max(work, self.kernels[layer].scratch(self.kernels[layer].cell, self.N))
            products += 3.0 * self.N * self.H * (self.H + self.kernels[layer].K)
        self.long_step = products >= LONG_STEP
        self.row_bytes = self.N * self.H * self.kernels[0].itemsize       # of one layer
        self.state_bytes = self.layers * self.row_bytes
        size = (self.state_bytes + 63) // 64 * 64
        self.memory = np.zeros(2 * size + work + 128, np.uint8)
        offset = (64 - self.memory.ctypes.data % 64) % 64
        self.h = cnp.PyArray_BYTES(self.memory) + offset
        self.h_new = self.h + size
        self.scratch = self.h_new + size

    cdef tuple _state_shape(self):
        return (self.layers, *self._shape(self.H))

    cdef tuple _shape(self, Py_ssize_t features):
        """Of one step's input or output."""
        if self.ndim == 1:
            return (features,)
        return (self.N, features)

    def _initial(self):
        return self.model._start((self.layers, self.N, self.H)).reshape(self._state_shape())

    cdef _set_state(self, str name, value):
        cdef cnp.ndarray array = state_array(name, value, self.dtype, self._state_shape())
        self._enter()
        memcpy(self.h, cnp.PyArray_BYTES(array), self.state_bytes)
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
        cdef Py_ssize_t layer
        cdef Kernel* kernel
        cdef char* h = self.h
        cdef char* h_new = self.h_new
        for layer in range(self.layers):
            kernel = self.kernels[layer]
            kernel.step(kernel.cell, self.N, x, h, h_new, self.scratch)
            x = h_new
            h += self.row_bytes
            h_new += self.row_bytes
        memcpy(y, x, self.row_bytes)
        self.h, self.h_new = self.h_new, self.h

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
        rows = 1 if self.model.batch_first else 0
        if x.ndim != self.ndim + 1 or (self.ndim == 2 and x.shape[1 - rows] != self.N):
            raise ValueError(f"x has shape {x.shape}, this stream expects {self._chunk_layout()}")
        cdef cnp.ndarray h_n, state = np.empty(self._state_shape(), self.dtype)
        self._enter()
        try:
            self._copy_state(state)
            y, h_n = self.model(x, state)
            memcpy(self.h, cnp.PyArray_BYTES(h_n), self.state_bytes)
        finally:
            release(&self.busy)
        return y

    def _chunk_layout(self):
        if self.ndim == 1:
            return f"(T, {self.K})"
        return f"({self.N}, T, {self.K})" if self.model.batch_first else f"(T, {self.N}, {self.K})"

    cdef void _copy_state(self, cnp.ndarray state) noexcept:
        memcpy(cnp.PyArray_BYTES(state), self.h, self.state_bytes)

    @property
    def state(self):
        """The state (num_layers, N, H) or (num_layers, H): a copy; set it to go on from another one."""
        cdef cnp.ndarray state = np.empty(self._state_shape(), self.dtype)
        self._enter()
        self._copy_state(state)
        release(&self.busy)
        return state

    @state.setter
    def state(self, value):
        self._set_state("state", value)

    def reset(self, h_0=None):
        """Start again, from `h_0` (as in the constructor)."""
        self._set_state("h_0", self._initial() if h_0 is None else h_0)

    def __reduce__(self):
        return _rebuild, (type(self), self.model, self.batch_size, self.state)

    def __repr__(self):
        return f"Stream({self.model!r}, batch_size={self.batch_size})"


def _rebuild(cls, model, batch_size, state):
    return cls(model, batch_size, state)
