"""cgru from Cython: `cimport cgru`, with the names of cgru.h, which says what they mean. Call cgru_import() first."""

cdef extern from "cgru.h":
    enum:
        CGRU_API_VERSION
        CGRU_OK
        CGRU_BUSY
        CGRU_NO_MEMORY
        CGRU_BAD_ROWS
        CGRU_BAD_ARGUMENT
        CGRU_IN_USE

    ctypedef struct cgru_model:
        const Py_ssize_t input_size
        const Py_ssize_t output_size
        const Py_ssize_t state_size
        const Py_ssize_t itemsize

    ctypedef struct cgru_stream:
        pass

    int cgru_import() except -1
    cgru_model* cgru_model_new(object model) except NULL
    int cgru_model_free(cgru_model* model) noexcept

    int cgru_stream_new(cgru_model* model, Py_ssize_t rows, cgru_stream** stream) noexcept nogil
    int cgru_stream_copy(cgru_stream* stream, cgru_stream** copy) noexcept nogil
    int cgru_stream_free(cgru_stream* stream) noexcept nogil
    int cgru_stream_reset(cgru_stream* stream) noexcept nogil
    int cgru_stream_step(cgru_stream* stream, const void* x, void* y) noexcept nogil
    int cgru_stream_run(cgru_stream* stream, Py_ssize_t steps, const void* x, void* y) noexcept nogil
    int cgru_stream_get_state(cgru_stream* stream, void* state) noexcept nogil
    int cgru_stream_set_state(cgru_stream* stream, const void* state) noexcept nogil
    const char* cgru_message(int code) noexcept nogil
