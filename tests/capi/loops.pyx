"""cgru from Cython: loops over steps without the GIL."""

cimport cgru

import cgru
import numpy as np

cgru.cgru_import()


def by_steps(model, const float[:, :, ::1] x):
    """Each step's y (T, N, O), the final state, and what a GRU of Python's cgru is, which has the same name."""
    cdef Py_ssize_t t
    cdef int code
    cdef cgru.cgru_stream* stream
    cdef cgru.cgru_model* handle = cgru.cgru_model_new(model)
    cdef float[:, :, ::1] y = np.empty((x.shape[0], x.shape[1], handle.output_size), np.float32)
    cdef float[::1] state = np.empty(x.shape[1] * handle.state_size, np.float32)
    with nogil:
        code = cgru.cgru_stream_new(handle, x.shape[1], &stream)
        if code == cgru.CGRU_OK:
            for t in range(x.shape[0]):
                code = cgru.cgru_stream_step(stream, &x[t, 0, 0], &y[t, 0, 0])
            code = cgru.cgru_stream_get_state(stream, &state[0])
            cgru.cgru_stream_free(stream)
    cgru.cgru_model_free(handle)
    if code != cgru.CGRU_OK:
        raise RuntimeError(cgru.cgru_message(code).decode())
    return np.asarray(y), np.asarray(state), cgru.GRU


def refused(model, Py_ssize_t rows):
    """What is said of so many rows."""
    cdef cgru.cgru_stream* stream
    cdef cgru.cgru_model* handle = cgru.cgru_model_new(model)
    cdef int code = cgru.cgru_stream_new(handle, rows, &stream)
    cgru.cgru_model_free(handle)
    return code, cgru.cgru_message(code).decode(), stream == NULL
