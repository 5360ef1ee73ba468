/* Runs exported models as it is asked to: c_programs.py puts their headers (or their text) in front of this.

   Reads requests, each three int32 (the model's number, a way of running, steps) and x, until there are no more, and
   writes the float32 y of each. Files are the two arguments, or DRIVER_INPUT and DRIVER_OUTPUT, or stdin and stdout.
   All memory has the size that it needs and no more, so that an address sanitizer sees what is read or written outside;
   states are full of NaN before name_reset. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef REAL_TIME
#define REAL_TIME /* an attribute of what must not block */
#endif

enum { RUN, STEP, IN_PLACE, PIECES, COPIED, TWO, AGAIN, OVER };

static void *memory(size_t size) {
    void *found = malloc(size ? size : 1);
    if (!found) {
        fprintf(stderr, "driver: no memory\n");
        exit(2);
    }
    memset(found, 0xff, size ? size : 1);
    return found;
}

#define MODEL(NAME, I, O)                                                                                              \
    static void NAME##_live(NAME##_state *s, int way, size_t steps, const float *x, float *y) REAL_TIME;               \
    static void NAME##_live(NAME##_state *s, int way, size_t steps, const float *x, float *y) {                        \
        size_t t, piece = 0;                                                                                           \
        if (way == RUN || way == AGAIN) {                                                                              \
            NAME##_run(s, steps, x, y);                                                                                \
        } else if (way == PIECES) {                                                                                    \
            for (t = 0; t < steps; t += piece, piece = (piece + 1) % 4) {                                              \
                if (piece > steps - t) {                                                                               \
                    piece = steps - t;                                                                                 \
                }                                                                                                      \
                NAME##_run(s, piece, x + t * I, y + t * O);                                                            \
            }                                                                                                          \
        } else {                                                                                                       \
            for (t = 0; t < steps; t++) {                                                                              \
                NAME##_step(s, x + t * I, y + t * O);                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static int NAME##_drive(int way, size_t steps, const float *x, float *y) {                                         \
        typedef char sizes_are_right[I == NAME##_I && O == NAME##_O ? 1 : -1];                                         \
        NAME##_state *s = (NAME##_state *)memory(sizeof *s), *other;                                                   \
        float *row = (float *)memory(sizeof(sizes_are_right) * I * sizeof(float)), *rest;                              \
        size_t t;                                                                                                      \
        NAME##_reset(s);                                                                                               \
        if (way == IN_PLACE) {                                                                                         \
            if (I != O) {                                                                                              \
                return 1;                                                                                              \
            }                                                                                                          \
            for (t = 0; t < steps; t++) {                                                                              \
                memcpy(row, x + t * I, I * sizeof(float));                                                             \
                NAME##_step(s, row, row);                                                                              \
                memcpy(y + t * O, row, O * sizeof(float));                                                             \
            }                                                                                                          \
        } else if (way == OVER) {                                                                                      \
            if (I != O) {                                                                                              \
                return 1;                                                                                              \
            }                                                                                                          \
            memcpy(y, x, steps * I * sizeof(float));                                                                   \
            NAME##_run(s, steps, y, y);                                                                                \
        } else if (way == COPIED) {                                                                                    \
            for (t = 0; t < steps; t++) {                                                                              \
                NAME##_step(s, x + t * I, y + t * O);                                                                  \
                other = (NAME##_state *)memory(sizeof *s);                                                             \
                memcpy(other, s, sizeof *s);                                                                           \
                memset((void *)s, 0xff, sizeof *s);                                                                    \
                free(s);                                                                                               \
                s = other;                                                                                             \
            }                                                                                                          \
        } else if (way == TWO) {                                                                                       \
            other = (NAME##_state *)memory(sizeof *s);                                                                 \
            rest = (float *)memory(O * sizeof(float));                                                                 \
            NAME##_reset(other);                                                                                       \
            for (t = 0; t < steps; t++) {                                                                              \
                NAME##_step(other, x + (steps - 1 - t) * I, rest);                                                     \
                NAME##_step(s, x + t * I, y + t * O);                                                                  \
            }                                                                                                          \
            free(other);                                                                                               \
            free(rest);                                                                                                \
        } else {                                                                                                       \
            if (way == AGAIN) {                                                                                        \
                NAME##_run(s, steps, x, y);                                                                            \
                NAME##_reset(s);                                                                                       \
            }                                                                                                          \
            NAME##_live(s, way, steps, x, y);                                                                          \
        }                                                                                                              \
        free(row);                                                                                                     \
        free(s);                                                                                                       \
        return 0;                                                                                                      \
    }

/* The models of this program: MODELS is MODEL(name, I, O) MODEL(...), ENTRIES is {name_drive, I, O}, {...}. */
MODELS
static const struct entry {
    int (*drive)(int way, size_t steps, const float *x, float *y);
    size_t inputs, outputs;
} entries[] = {ENTRIES};

int main(int count, char **arguments) {
#if defined(DRIVER_INPUT) && defined(DRIVER_OUTPUT)
    const char *from = DRIVER_INPUT, *to = DRIVER_OUTPUT;
#else
    const char *from = count == 3 ? arguments[1] : NULL, *to = count == 3 ? arguments[2] : NULL;
#endif
    FILE *in = from ? fopen(from, "rb") : stdin, *out = to ? fopen(to, "wb") : stdout;
    int32_t request[3];
    (void)count;
    (void)arguments;
    if (!in || !out) {
        fprintf(stderr, "driver: cannot open its files\n");
        return 2;
    }
    while (fread(request, sizeof(int32_t), 3, in) == 3) {
        const struct entry *one = entries + request[0];
        size_t steps = (size_t)request[2], xs = steps * one->inputs, ys = steps * one->outputs;
        float *x = (float *)memory(xs * sizeof(float)), *y = (float *)memory(ys * sizeof(float));
        if (fread(x, sizeof(float), xs, in) != xs || one->drive(request[1], steps, x, y) ||
            fwrite(y, sizeof(float), ys, out) != ys) {
            fprintf(stderr, "driver: request refused or cut short\n");
            return 2;
        }
        free(x);
        free(y);
    }
    return fclose(out) ? 2 : 0;
}
