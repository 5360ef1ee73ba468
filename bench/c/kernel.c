/* A loop around cgru's own step, called through its table of C functions (cgru.h), so that Python's call is in no figure. */
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

typedef int step_function(void *stream, const void *x, void *y);

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Fills ns[count], each the time of `calls` steps through the rows of x (steps, width) in turn; what the last step gave. */
EXPORT int kernel_sample(step_function *step, void *stream, const float *x, int64_t steps, int64_t width, float *y,
                         int64_t calls, int64_t count, int64_t *ns)
{
    int64_t t = 0;
    int given = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t start = now_ns();
        for (int64_t call = 0; call < calls; call++) {
            given |= step(stream, x + t * width, y);
            if (++t == steps)
                t = 0;
        }
        ns[i] = now_ns() - start;
    }
    return given;
}
