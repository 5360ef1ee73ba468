"""cgru's own step, called from C through the table of `cgru.h`."""

import ctypes
from pathlib import Path

import numpy as np

from bench.common import cbuild
from cgru import capi

SOURCE = Path(__file__).resolve().parent / "kernel.c"
_NAMES = (
    "model_new", "model_free", "stream_new", "stream_copy", "stream_free", "stream_reset", "stream_step", "stream_run",
    "stream_get_state", "stream_set_state",
)  # fmt: skip


class _Table(ctypes.Structure):
    """cgru_api of cgru.h."""

    _fields_ = [("version", ctypes.c_int), ("size", ctypes.c_size_t), *((name, ctypes.c_void_p) for name in _NAMES)]


def table():
    """The table; ImportError where its version is another."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    found = _Table.from_address(pointer(capi._C_API, b"cgru.capi._C_API"))
    if found.version != 1 or found.size < ctypes.sizeof(_Table):
        raise ImportError(f"cgru's table of C functions has version {found.version} and {found.size} bytes")
    return found


class Kernel:
    """A stream of one row; `sample` as of a runner of `bench.common.timing`."""

    def __init__(self, problem):
        self._problem, self._table, self._model, self._stream = problem, table(), None, ctypes.c_void_p()
        new = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(self._table.model_new)
        self._model = new(problem.model())
        begin = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_void_p)
        if begin(self._table.stream_new)(self._model, 1, ctypes.byref(self._stream)):
            raise MemoryError("no stream of cgru")
        self._library = cbuild.build(SOURCE, ["-O2"])
        self._library.kernel_sample.argtypes = [
            *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
            ctypes.c_void_p,
        ]  # fmt: skip
        self._y = np.zeros(problem.point.H, np.float32)

    def sample(self, calls, count):
        """`count` samples, each the mean nanoseconds of `calls` steps."""
        samples, x = np.empty(count, np.int64), self._problem.x
        arrays = x.ctypes.data, len(x), x.shape[-1], self._y.ctypes.data
        given = self._library.kernel_sample(
            self._table.stream_step, self._stream, *arrays, calls, count, samples.ctypes.data
        )
        if given:
            raise RuntimeError("cgru refused a step")
        return samples / calls

    def step(self, k):
        """y after one step with the k-th input."""
        function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 3)(self._table.stream_step)
        if function(self._stream, self._problem.x[k].ctypes.data, self._y.ctypes.data):
            raise RuntimeError("cgru refused a step")
        return self._y.copy()

    def close(self):
        """Free stream and model."""
        ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._table.stream_free)(self._stream)
        ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._table.model_free)(self._model)
