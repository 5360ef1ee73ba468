cimport cgru

cgru.cgru_import()


cdef class Voice:
    """A stream, which goes on from chunk to chunk; a model of one float32 number in and out."""

    cdef cgru.cgru_model* model
    cdef cgru.cgru_stream* stream

    def __cinit__(self, model):
        self.model = cgru.cgru_model_new(model)         # or an exception
        if self.model.input_size != 1 or self.model.output_size != 1 or self.model.itemsize != sizeof(float):
            raise ValueError("a voice wants a model of one float32 number in and out")
        if cgru.cgru_stream_new(self.model, 1, &self.stream) != cgru.CGRU_OK:
            raise MemoryError()

    def __dealloc__(self):
        cgru.cgru_stream_free(self.stream)              # NULL is freed, too
        cgru.cgru_model_free(self.model)

    def process(self, float[::1] samples):
        """In place."""
        cdef int code = cgru.CGRU_OK
        if samples.shape[0]:
            with nogil:
                code = cgru.cgru_stream_run(self.stream, samples.shape[0], &samples[0], &samples[0])
        if code != cgru.CGRU_OK:
            raise RuntimeError(cgru.cgru_message(code).decode())
