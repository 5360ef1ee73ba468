"""Whether a long computation is to stop: Ctrl-C, or a job of the same call that failed in another thread.

An engine asks between pieces of work, which last a small part of PERIOD. The clock is read each time, the GIL taken
once in PERIOD. The first question of a pass only starts the clock: a short pass asks nothing.
"""

cdef extern from *:
    """
    #ifdef _WIN32
    #ifndef WIN32_LEAN_AND_MEAN
    #define WIN32_LEAN_AND_MEAN
    #endif
    #ifndef NOMINMAX
    #define NOMINMAX        /* of the macros min and max */
    #endif
    #include <windows.h>
    static long long cgru_milliseconds(void) { return (long long)GetTickCount64(); }
    #else
    #include <time.h>
    static long long cgru_milliseconds(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
    }
    #endif

    /* Not 0, with a Python exception set, where signal handlers (of the main thread) or interruption.check raise. */
    static int cgru_ask(void)
    {
        PyGILState_STATE state = PyGILState_Ensure();
        PyObject *module, *answer = NULL;
        if (PyErr_CheckSignals() == 0) {
            module = PyImport_ImportModule("cgru.engines.interruption");
            answer = module ? PyObject_CallMethod(module, "check", NULL) : NULL;
            Py_XDECREF(module);
            Py_XDECREF(answer);
        }
        PyGILState_Release(state);
        return answer == NULL;
    }
    """
    long long milliseconds "cgru_milliseconds"() noexcept nogil
    bint ask "cgru_ask"() noexcept nogil

cdef enum:
    PERIOD = 50                         # milliseconds
    NO_MEMORY = -1                      # what a time loop returns
    INTERRUPTED = -2                    # with a Python exception set


cdef struct Watch:                      # of one pass; begins as zeros
    long long due                       # when to ask next


cdef inline bint interrupted(Watch* watch) noexcept nogil:
    """Whether to stop, and return INTERRUPTED."""
    cdef long long now = milliseconds()
    if watch.due == 0:
        watch.due = now + PERIOD
    elif now >= watch.due:
        if ask():
            return True
        watch.due = milliseconds() + PERIOD
    return False


cdef inline int raise_for(int status, str memory) except -1:
    """The exception of a time loop's return value other than 0; `memory` says for what there was none."""
    if status == NO_MEMORY:
        raise MemoryError(f"no memory for {memory}")
    return -1                           # the exception is set
