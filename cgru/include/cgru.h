/* cgru from C: models that Python holds, stepped from any thread, without the GIL and without Python.
 *
 * For extension modules. A program without Python takes what a model's `to_c` writes. Compile with the folder that
 * cgru.get_include() names; C99 or C++.
 *
 * Every source file that includes this calls cgru_import() once, with the GIL, before anything else of it: mostly where
 * its module is initialised. Sizes are in numbers, not in bytes; a number is a float or a double, as
 * `itemsize` says. Arrays are contiguous, rows one after the other.
 */
#ifndef CGRU_H
#define CGRU_H

#include <Python.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the table below. Another version is another interface; within one version, the table only grows at its end. */
#define CGRU_API_VERSION 1

/* What functions return: 0, or what was wrong, and then nothing has been done. */
enum {
    CGRU_OK = 0,
    CGRU_BUSY = -1,             /* another call has this stream */
    CGRU_NO_MEMORY = -2,
    CGRU_BAD_ROWS = -3,         /* fewer than 1, or more than BLAS can count */
    CGRU_BAD_ARGUMENT = -4,     /* NULL, or a number of steps below 0 */
    CGRU_IN_USE = -5            /* the model has streams */
};

/* A model, which stays alive as long as this is not freed. To be read only. */
typedef struct cgru_model {
    ptrdiff_t input_size;       /* of a row of x at one step */
    ptrdiff_t output_size;      /* of a row of y */
    ptrdiff_t state_size;       /* of a row of the state */
    ptrdiff_t itemsize;         /* bytes of a number: 4, a float; 8, a double */
} cgru_model;

/* A state that goes on from step to step, of one row or several. It belongs to one caller at a time. */
typedef struct cgru_stream cgru_stream;

typedef struct cgru_api {
    int version;
    size_t size;                /* of this struct */
    cgru_model *(*model_new)(PyObject *model);
    int (*model_free)(cgru_model *model);
    int (*stream_new)(cgru_model *model, ptrdiff_t rows, cgru_stream **stream);
    int (*stream_copy)(cgru_stream *stream, cgru_stream **copy);
    int (*stream_free)(cgru_stream *stream);
    int (*stream_reset)(cgru_stream *stream);
    int (*stream_step)(cgru_stream *stream, const void *x, void *y);
    int (*stream_run)(cgru_stream *stream, ptrdiff_t steps, const void *x, void *y);
    int (*stream_get_state)(cgru_stream *stream, void *state);
    int (*stream_set_state)(cgru_stream *stream, const void *state);
} cgru_api;

/* Of this source file; NULL before cgru_import(). */
static const cgru_api *cgru_table = NULL;

/* ---- with the GIL */

/* 0; or -1 and an ImportError, where cgru is missing or its table does not fit this header. */
static inline int cgru_import(void)
{
    PyObject *module = PyImport_ImportModule("cgru.capi");
    PyObject *capsule = module ? PyObject_GetAttrString(module, "_C_API") : NULL;
    const cgru_api *table = NULL;
    if (capsule) table = (const cgru_api *)PyCapsule_GetPointer(capsule, "cgru.capi._C_API");
    Py_XDECREF(capsule);        /* the module keeps it, and sys.modules the module */
    Py_XDECREF(module);
    if (!table) return -1;
    if (table->version != CGRU_API_VERSION) {
        PyErr_Format(PyExc_ImportError,
                     "this module was compiled for version %d of cgru's C interface, and the cgru that is installed "
                     "has version %d: compile it anew, or install the cgru that it was compiled with",
                     (int)CGRU_API_VERSION, table->version);
        return -1;
    }
    if (table->size < sizeof(cgru_api)) {
        PyErr_Format(PyExc_ImportError,
                     "this module was compiled with a newer cgru: its table of C functions has %zu bytes, and that of "
                     "the cgru that is installed %zu: install a newer cgru",
                     sizeof(cgru_api), table->size);
        return -1;
    }
    cgru_table = table;
    return 0;
}

/* Of a GRU, LSTM, RNN, Linear or Sequential. NULL and a TypeError or ValueError, where it is none of them, is
 * bidirectional or reversed, or has more than 64 layers; or a MemoryError. */
static inline cgru_model *cgru_model_new(PyObject *model) { return cgru_table->model_new(model); }

/* NULL is freed, too. CGRU_IN_USE while it has streams. */
static inline int cgru_model_free(cgru_model *model) { return cgru_table->model_free(model); }

/* ---- from any thread, with the GIL or without. Threads may share a model; each has streams of its own. */

/* In the state in which the model starts: the one stored with it, or zeros. */
static inline int cgru_stream_new(cgru_model *model, ptrdiff_t rows, cgru_stream **stream)
{
    return cgru_table->stream_new(model, rows, stream);
}

/* Another one, in the same state. */
static inline int cgru_stream_copy(cgru_stream *stream, cgru_stream **copy)
{
    return cgru_table->stream_copy(stream, copy);
}

/* NULL is freed, too. */
static inline int cgru_stream_free(cgru_stream *stream) { return cgru_table->stream_free(stream); }

/* Back to where it began. This and what follows allocates nothing. */
static inline int cgru_stream_reset(cgru_stream *stream) { return cgru_table->stream_reset(stream); }

/* One step of all rows, x (rows, input_size) to y (rows, output_size). They may overlap. */
static inline int cgru_stream_step(cgru_stream *stream, const void *x, void *y)
{
    return cgru_table->stream_step(stream, x, y);
}

/* Several steps, x (steps, rows, input_size) to y (steps, rows, output_size): what as many calls of step give, to the
 * last bit. y may be x itself where output_size is at most input_size; otherwise they do not overlap. */
static inline int cgru_stream_run(cgru_stream *stream, ptrdiff_t steps, const void *x, void *y)
{
    return cgru_table->stream_run(stream, steps, x, y);
}

/* The state, rows * state_size numbers: for each recurrent layer, first to last, h (rows, hidden_size), and then of an
 * LSTM c (rows, hidden_size). */
static inline int cgru_stream_get_state(cgru_stream *stream, void *state)
{
    return cgru_table->stream_get_state(stream, state);
}

static inline int cgru_stream_set_state(cgru_stream *stream, const void *state)
{
    return cgru_table->stream_set_state(stream, state);
}

/* What a function returned, in words. */
static inline const char *cgru_message(int code)
{
    switch (code) {
    case CGRU_OK: return "no error";
    case CGRU_BUSY:
        return "this stream is running in another thread: give each thread its own, they can share the model";
    case CGRU_NO_MEMORY: return "there is not enough memory";
    case CGRU_BAD_ROWS: return "the number of rows must be at least 1 and at most 2147483647";
    case CGRU_BAD_ARGUMENT: return "a pointer is NULL, or the number of steps is below 0";
    case CGRU_IN_USE: return "the model has streams: free them first";
    default: return "this is no code of cgru's";
    }
}

#ifdef __cplusplus
}
#endif
#endif
