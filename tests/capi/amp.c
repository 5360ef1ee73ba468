#include "cgru.h"
#include <string.h>

/* process(model, samples): samples (T,), float32, become what the model makes of them, without the GIL. */
static PyObject *process(PyObject *self, PyObject *args)
{
    PyObject *object, *array;
    Py_buffer samples;
    cgru_model *model;
    cgru_stream *stream = NULL;
    int code = -1;
    (void)self;
    if (!PyArg_ParseTuple(args, "OO", &object, &array)) return NULL;
    if (PyObject_GetBuffer(array, &samples, PyBUF_WRITABLE | PyBUF_FORMAT | PyBUF_C_CONTIGUOUS)) return NULL;
    model = cgru_model_new(object);                 /* NULL: the exception is set */
    if (model && (model->itemsize != sizeof(float) || model->input_size != 1 || model->output_size != 1))
        PyErr_SetString(PyExc_ValueError, "process wants a model of one float32 number in and out");
    else if (model && (!samples.format || strcmp(samples.format, "f")))
        PyErr_SetString(PyExc_TypeError, "process wants samples in float32");
    else if (model) {
        Py_BEGIN_ALLOW_THREADS
        code = cgru_stream_new(model, 1, &stream);
        if (!code) code = cgru_stream_run(stream, samples.len / (ptrdiff_t)sizeof(float), samples.buf, samples.buf);
        cgru_stream_free(stream);
        Py_END_ALLOW_THREADS
        if (code) PyErr_SetString(PyExc_RuntimeError, cgru_message(code));
    }
    cgru_model_free(model);
    PyBuffer_Release(&samples);
    if (code) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {{"process", process, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "amp", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_amp(void)
{
    return cgru_import() ? NULL : PyModule_Create(&definition);
}
