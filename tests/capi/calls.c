/* Everything of cgru.h as functions of a Python module; handles and streams are numbers. Valid C99 and C++. */
#define _POSIX_C_SOURCE 200809L
#include "cgru.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static cgru_model *model_at(PyObject *number) { return (cgru_model *)PyLong_AsVoidPtr(number); }

static cgru_stream *stream_at(PyObject *number) { return (cgru_stream *)PyLong_AsVoidPtr(number); }

static PyObject *model_new(PyObject *self, PyObject *object)
{
    cgru_model *model = cgru_model_new(object);
    (void)self;
    return model ? PyLong_FromVoidPtr(model) : NULL;
}

static PyObject *model_free(PyObject *self, PyObject *model)
{
    (void)self;
    return PyLong_FromLong(cgru_model_free(model_at(model)));
}

static PyObject *sizes(PyObject *self, PyObject *number)
{
    const cgru_model *model = model_at(number);
    (void)self;
    return Py_BuildValue("nnnn", (Py_ssize_t)model->input_size, (Py_ssize_t)model->output_size,
                         (Py_ssize_t)model->state_size, (Py_ssize_t)model->itemsize);
}

static PyObject *stream_new(PyObject *self, PyObject *args)
{
    PyObject *model;
    Py_ssize_t rows;
    cgru_stream *stream = NULL;
    int code;
    (void)self;
    if (!PyArg_ParseTuple(args, "On", &model, &rows)) return NULL;
    code = cgru_stream_new(model_at(model), rows, &stream);
    return Py_BuildValue("iN", code, PyLong_FromVoidPtr(stream));
}

static PyObject *stream_copy(PyObject *self, PyObject *number)
{
    cgru_stream *copy = NULL;
    int code = cgru_stream_copy(stream_at(number), &copy);
    (void)self;
    return Py_BuildValue("iN", code, PyLong_FromVoidPtr(copy));
}

static PyObject *stream_free(PyObject *self, PyObject *number)
{
    (void)self;
    return PyLong_FromLong(cgru_stream_free(stream_at(number)));
}

static PyObject *stream_reset(PyObject *self, PyObject *number)
{
    (void)self;
    return PyLong_FromLong(cgru_stream_reset(stream_at(number)));
}

/* What a buffer holds, where Python gave one; NULL for None. */
static int take(PyObject *object, Py_buffer *buffer, int flags)
{
    buffer->buf = NULL;
    buffer->obj = NULL;
    return object == Py_None ? 0 : PyObject_GetBuffer(object, buffer, flags);
}

static PyObject *stream_run(PyObject *self, PyObject *args)
{
    PyObject *stream, *x, *y;
    Py_ssize_t steps;
    Py_buffer from, to;
    int code, single;
    (void)self;
    if (!PyArg_ParseTuple(args, "OnOOp", &stream, &steps, &x, &y, &single)) return NULL;
    if (take(x, &from, PyBUF_SIMPLE) || take(y, &to, PyBUF_WRITABLE)) return NULL;
    {
        cgru_stream *at = stream_at(stream);
        Py_BEGIN_ALLOW_THREADS
        code = single ? cgru_stream_step(at, from.buf, to.buf) : cgru_stream_run(at, steps, from.buf, to.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&from);
    PyBuffer_Release(&to);
    return PyLong_FromLong(code);
}

static PyObject *state(PyObject *self, PyObject *args)
{
    PyObject *stream, *object;
    Py_buffer buffer;
    int code, store;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOp", &stream, &object, &store)) return NULL;
    if (take(object, &buffer, store ? PyBUF_SIMPLE : PyBUF_WRITABLE)) return NULL;
    code = store ? cgru_stream_set_state(stream_at(stream), buffer.buf)
                 : cgru_stream_get_state(stream_at(stream), buffer.buf);
    PyBuffer_Release(&buffer);
    return PyLong_FromLong(code);
}

static PyObject *message(PyObject *self, PyObject *code)
{
    (void)self;
    return PyUnicode_FromString(cgru_message((int)PyLong_AsLong(code)));
}

/* ---- threads that Python knows nothing of, while this one holds the GIL */

typedef struct job {
    pthread_t thread;
    cgru_model *model;
    ptrdiff_t steps, repeats;
    const char *x;
    char *y;
    int single, code;
} job;

static int work_of(const job *job)
{
    cgru_stream *stream;
    ptrdiff_t row = job->model->input_size * job->model->itemsize, t, k;
    ptrdiff_t out = job->model->output_size * job->model->itemsize;
    int code = cgru_stream_new(job->model, 1, &stream);
    for (k = 0; k < job->repeats && !code; k++) {
        code = cgru_stream_reset(stream);
        if (!job->single && !code) code = cgru_stream_run(stream, job->steps, job->x, job->y);
        for (t = 0; job->single && t < job->steps && !code; t++)
            code = cgru_stream_step(stream, job->x + t * row, job->y + t * out);
    }
    return code ? code : cgru_stream_free(stream);
}

static void *do_job(void *argument)
{
    job *mine = (job *)argument;
    mine->code = work_of(mine);
    return NULL;
}

/* in_threads(model, count, steps, repeats, x, y): x (steps, I) to y (count, steps, O); the codes. */
static PyObject *in_threads(PyObject *self, PyObject *args)
{
    PyObject *model, *codes;
    Py_ssize_t count, steps, repeats, i;
    Py_buffer x, y;
    job *jobs;
    (void)self;
    if (!PyArg_ParseTuple(args, "Onnny*w*", &model, &count, &steps, &repeats, &x, &y)) return NULL;
    jobs = (job *)calloc((size_t)count, sizeof(job));
    for (i = 0; i < count; i++) {
        jobs[i].model = model_at(model);
        jobs[i].steps = steps;
        jobs[i].repeats = repeats;
        jobs[i].x = (const char *)x.buf;
        jobs[i].y = (char *)y.buf + i * (y.len / count);
        jobs[i].single = i % 2;
        if (pthread_create(&jobs[i].thread, NULL, do_job, &jobs[i])) abort();
    }
    codes = PyList_New(count);
    for (i = 0; i < count; i++) {
        pthread_join(jobs[i].thread, NULL);
        PyList_SetItem(codes, i, PyLong_FromLong(jobs[i].code));
    }
    free(jobs);
    PyBuffer_Release(&x);
    PyBuffer_Release(&y);
    return codes;
}

/* ---- a stream that is running: its thread stands still in the middle of a run, in a signal handler */

static int stopped[2], let_go[2];

static void stand_still(int number)
{
    char byte = 0;
    (void)number;
    if (write(stopped[1], &byte, 1) != 1 || read(let_go[0], &byte, 1) != 1) abort();
}

typedef struct running {
    cgru_stream *stream;
    ptrdiff_t steps;
    const void *x;
    void *y;
    int code, done, leave;
} running;

static void *do_run(void *argument)
{
    running *mine = (running *)argument;
    do mine->code = cgru_stream_run(mine->stream, mine->steps, mine->x, mine->y);
    while (mine->code == CGRU_BUSY);    /* held for a moment by the other thread, which waits for this one */
    __atomic_store_n(&mine->done, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&mine->leave, __ATOMIC_SEQ_CST)) sched_yield();     /* there to be signalled */
    return NULL;
}

/* while_running(stream, steps, x, y, state): what each function says meanwhile, then what the run says; None where the
 * run was over too soon, and the thread found nothing. */
static PyObject *while_running(PyObject *self, PyObject *args)
{
    PyObject *number, *codes = NULL;
    Py_ssize_t steps;
    Py_buffer x, y, kept;
    running other;
    pthread_t thread;
    struct sigaction now, before;
    cgru_stream *stream, *copy = NULL;
    char byte = 0;
    int seen[7], i;
    (void)self;
    if (!PyArg_ParseTuple(args, "Ony*w*w*", &number, &steps, &x, &y, &kept)) return NULL;
    memset(&other, 0, sizeof other);
    memset(&now, 0, sizeof now);
    now.sa_handler = stand_still;
    if (pipe(stopped) || pipe(let_go) || sigaction(SIGUSR2, &now, &before)) abort();
    other.stream = stream = stream_at(number);
    other.steps = steps;
    other.x = x.buf;
    other.y = y.buf;
    if (pthread_create(&thread, NULL, do_run, &other)) abort();
    while (cgru_stream_get_state(stream, kept.buf) == CGRU_OK && !__atomic_load_n(&other.done, __ATOMIC_SEQ_CST)) {
    }
    pthread_kill(thread, SIGUSR2);
    if (read(stopped[0], &byte, 1) != 1) abort();
    seen[0] = cgru_stream_get_state(stream, kept.buf);
    if (seen[0] == CGRU_BUSY) {         /* and stays so */
        seen[1] = cgru_stream_set_state(stream, kept.buf);
        seen[2] = cgru_stream_step(stream, x.buf, kept.buf);
        seen[3] = cgru_stream_run(stream, 1, x.buf, kept.buf);
        seen[4] = cgru_stream_reset(stream);
        seen[5] = cgru_stream_copy(stream, &copy);
        seen[6] = cgru_stream_free(stream);
    }
    if (write(let_go[1], &byte, 1) != 1) abort();
    __atomic_store_n(&other.leave, 1, __ATOMIC_SEQ_CST);
    pthread_join(thread, NULL);
    sigaction(SIGUSR2, &before, NULL);
    close(stopped[0]);
    close(stopped[1]);
    close(let_go[0]);
    close(let_go[1]);
    PyBuffer_Release(&x);
    PyBuffer_Release(&y);
    PyBuffer_Release(&kept);
    if (seen[0] != CGRU_BUSY) Py_RETURN_NONE;
    codes = PyList_New(8);
    for (i = 0; i < 7; i++) PyList_SetItem(codes, i, PyLong_FromLong(seen[i]));
    PyList_SetItem(codes, 7, PyLong_FromLong(other.code));
    return codes;
}

static PyMethodDef functions[] = {
    {"model_new", model_new, METH_O, NULL},
    {"model_free", model_free, METH_O, NULL},
    {"sizes", sizes, METH_O, NULL},
    {"stream_new", stream_new, METH_VARARGS, NULL},
    {"stream_copy", stream_copy, METH_O, NULL},
    {"stream_free", stream_free, METH_O, NULL},
    {"stream_reset", stream_reset, METH_O, NULL},
    {"stream_run", stream_run, METH_VARARGS, NULL},
    {"state", state, METH_VARARGS, NULL},
    {"message", message, METH_O, NULL},
    {"in_threads", in_threads, METH_VARARGS, NULL},
    {"while_running", while_running, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "calls", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_calls(void)
{
    if (cgru_import()) return NULL;
    return PyModule_Create(&definition);
}
