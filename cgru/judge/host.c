/* The program in which a contestant runs: linked with it, or with the path of its library as last argument.

       host PROBLEMS RESULTS FIRST SECONDS [LIBRARY]

   PROBLEMS is read, RESULTS is mapped and written as it goes, so that whoever waits knows how far it came whatever
   ends it: cgru/judge/child.py writes the one and reads the other. Arrays that the contestant gets end at a page that
   must not be touched; what is const is in pages that are not writable, and what is gone is gone. With
   HOST_SANITIZED they are blocks of malloc, which the sanitizer watches. C99 and POSIX. */
#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <fenv.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <ucontext.h>
#endif
#ifdef __SSE__
#include <xmmintrin.h>
#endif
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 33)
#include <malloc.h>
#define HAS_MALLINFO2
#endif
#endif
#ifdef HOST_SANITIZED
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

#include <cgru_judge.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

/* ---- the files */

typedef struct {
    int64_t input, result;                  /* where its floats begin in PROBLEMS, and its record in RESULTS */
    int64_t cell, input_size, hidden_size, rows, reset_after;
    int64_t steps, way;                     /* way: 0 step, 1 run */
    int64_t kind;                           /* 0: compute; 1: is it safe; 2: measure */
    int64_t instances, calls, samples;      /* of a measurement */
} Problem;

enum { COMPUTE, SAFE, MEASURE };
enum { NOTHING, OK, REFUSED, WROTE_OUTSIDE, READ_OUTSIDE, DISTURBED, CHANGED_MODE };    /* child.py */
enum { LOADING, MAKING, RESETTING, STEPPING, RUNNING, FREEING, BETWEEN };   /* child.py: PHASES */

typedef struct {
    int32_t finished, problem, phase, step, has_run, trouble;   /* trouble: 1 cannot load, 2 lacks a function, 3 ours */
    char name[64], message[168];
} Head;

typedef struct {
    int32_t status;
    char detail[156];
} Record;                                   /* then y (steps, rows, H) as float, or samples as double */

static volatile Head *head;
static Record *record;

static void end(int32_t trouble, const char *message)
{
    if (head) {
        head->trouble = trouble;
        strncpy((char *)head->message, message, sizeof head->message - 1);
    }
    _exit(2);
}

/* The verdict of this problem. */
static void say(int32_t status, const char *format, ...)
{
    va_list words;
    va_start(words, format);
    vsnprintf(record->detail, sizeof record->detail, format, words);
    va_end(words);
    record->status = status;
}

static char *map_file(const char *path, int writable)
{
    struct stat facts;
    int file = open(path, writable ? O_RDWR : O_RDONLY);
    char *map;
    if (file < 0 || fstat(file, &facts)) end(3, "the host cannot open its files");
    map = (char *)mmap(NULL, facts.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                       writable ? MAP_SHARED : MAP_PRIVATE, file, 0);
    if (map == MAP_FAILED) end(3, "the host cannot map its files");
    close(file);
    return map;
}

/* ---- the contestant */

static void *(*make)(const cgru_judge_layer *);
static int (*reset)(void *, const float *, const float *);
static void (*step)(void *, const float *, float *);
static void (*run)(void *, int, const float *, float *);
static void (*release)(void *);
static const char *(*its_name)(void);

static void find(void *library, const char *name, void *function, int needed)
{
    void *found = dlsym(library, name);
    if (!found && needed) end(2, name);
    memcpy(function, &found, sizeof found);
}

static void load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) end(1, dlerror());
    find(library, "cgru_judge_make", &make, 1);
    find(library, "cgru_judge_reset", &reset, 1);
    find(library, "cgru_judge_step", &step, 1);
    find(library, "cgru_judge_free", &release, 1);
    find(library, "cgru_judge_run", &run, 0);
    find(library, "cgru_judge_name", &its_name, 0);
    head->has_run = run != NULL;
    if (its_name) {
        const char *name = its_name();
        if (name) strncpy((char *)head->name, name, sizeof head->name - 1);
    }
}

#include "host_guards.h"

/* ---- calls */

static const Problem *problem;
static const float *numbers[GUARDS];        /* by the names of the guards, in PROBLEMS */
static size_t counts[GUARDS];               /* of X and Y: of one step */

static void open_problem(const char *problems)
{
    static const int64_t gates[] = {3, 1, 4};
    const float *at = (const float *)(problems + problem->input);
    size_t I = problem->input_size, H = problem->hidden_size, G = gates[problem->cell] * H, rows = problem->rows;
    counts[WEIGHT_IH] = G * I;
    counts[WEIGHT_HH] = G * H;
    counts[BIAS_IH] = counts[BIAS_HH] = G;
    counts[H_0] = counts[C_0] = counts[Y] = rows * H;
    counts[X] = rows * I;
    for (int which = WEIGHT_IH; which < Y; which++) {
        numbers[which] = at;
        at += counts[which];
    }
}

static void *its_make(const float *const *weights)
{
    cgru_judge_layer layer;
    void *model;
    head->phase = MAKING;
    layer.cell = (int)problem->cell;
    layer.input_size = (int)problem->input_size;
    layer.hidden_size = (int)problem->hidden_size;
    layer.rows = (int)problem->rows;
    layer.reset_after = (int)problem->reset_after;
    layer.weight_ih = give(WEIGHT_IH, weights[WEIGHT_IH], counts[WEIGHT_IH] * sizeof(float));
    layer.weight_hh = give(WEIGHT_HH, weights[WEIGHT_HH], counts[WEIGHT_HH] * sizeof(float));
    layer.bias_ih = give(BIAS_IH, weights[BIAS_IH], counts[BIAS_IH] * sizeof(float));
    layer.bias_hh = give(BIAS_HH, weights[BIAS_HH], counts[BIAS_HH] * sizeof(float));
    model = make((const cgru_judge_layer *)give(LAYER, &layer, sizeof layer));
    inspect();
    for (int which = LAYER; which <= BIAS_HH; which++) gone(which);
    if (!model) say(REFUSED, "cgru_judge_make gave NULL");
    return model;
}

/* Whether it started. */
static int its_reset(void *model)
{
    const float *h_0 = give(H_0, numbers[H_0], counts[H_0] * sizeof(float)), *c_0 = NULL;
    int status;
    if (problem->cell == CGRU_JUDGE_LSTM) c_0 = give(C_0, numbers[C_0], counts[C_0] * sizeof(float));
    head->phase = RESETTING;
    status = reset(model, h_0, c_0);
    inspect();
    gone(H_0);
    gone(C_0);
    if (status) say(REFUSED, "cgru_judge_reset gave %d", status);
    return !status;
}

/* These steps, by step or run. */
static void its_steps(void *model, int first, int steps, float *to)
{
    int at_once = problem->way ? steps : 1;
    for (int t = first; t < first + steps; t += at_once) {
        const float *x = give(X, numbers[X] + t * counts[X], at_once * counts[X] * sizeof(float));
        float *y = give(Y, NULL, at_once * counts[Y] * sizeof(float));
        head->step = t;
        head->phase = problem->way ? RUNNING : STEPPING;
        if (problem->way) run(model, at_once, x, y);
        else step(model, x, y);
        inspect();
        memcpy(to + t * counts[Y], y, at_once * counts[Y] * sizeof(float));
    }
}

static void its_free(void *model)
{
    head->phase = FREEING;
    release(model);
    inspect();
    head->phase = BETWEEN;
}

/* ---- what is asked */

static void compute(float *y)
{
    void *model = its_make(numbers);
    if (!model) return;
    if (its_reset(model)) {
        its_steps(model, 0, (int)problem->steps, y);
        say(OK, "");
    }
    its_free(model);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void *aligned(size_t bytes)
{
    void *memory;
    if (posix_memalign(&memory, 64, bytes ? bytes : 1)) end(3, "the host has no memory");
    return memory;
}

/* Calls go to the instances in turn, and each of them through the steps of x. */
static double sample(void **models, const float *x, float *y, int64_t many)
{
    int64_t instances = problem->instances, steps = problem->steps, which = 0, t = 0, before = now();
    const float *at = x;
    for (int64_t call = 0; call < many; call++) {
        if (problem->way) run(models[which], (int)steps, x, y);
        else step(models[which], at, y);
        if (++which == instances) {
            which = 0;
            at += counts[X];
            if (++t == steps) {
                t = 0;
                at = x;
            }
        }
    }
    return (double)(now() - before) / (double)many;
}

static void measure(double *nanoseconds)
{
    size_t x_bytes = problem->steps * counts[X] * sizeof(float);
    void **models = (void **)aligned(problem->instances * sizeof *models);
    float *x = (float *)aligned(x_bytes);
    float *y = (float *)aligned((problem->way ? problem->steps : 1) * counts[Y] * sizeof(float));
    int64_t made = 0;
    int started = 1;
    memcpy(x, numbers[X], x_bytes);
    while (made < problem->instances && started) {
        models[made] = its_make(numbers);
        if (!models[made]) break;
        started = its_reset(models[made++]);
    }
    if (made == problem->instances && started) {
        head->phase = problem->way ? RUNNING : STEPPING;
        sample(models, x, y, problem->calls > problem->instances ? problem->calls : problem->instances);
        for (int64_t k = 0; k < problem->samples; k++) nanoseconds[k] = sample(models, x, y, problem->calls);
        say(OK, "");
    }
    while (made) its_free(models[--made]);
    free(models);
    free(x);
    free(y);
}

#include "host_safe.h"

/* ---- from first to last */

static void limit_itself(const char *seconds)
{
    struct rlimit none = {0, 0}, file = {1 << 24, 1 << 24}, time;
    time.rlim_cur = time.rlim_max = (rlim_t)atol(seconds);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &file);
    setrlimit(RLIMIT_CPU, &time);
#ifndef HOST_SANITIZED
    struct rlimit memory;                   /* half of what there is; a sanitizer takes more, and has a limit of its own */
    memory.rlim_cur = memory.rlim_max = (rlim_t)sysconf(_SC_PHYS_PAGES) / 2 * page;
    setrlimit(RLIMIT_DATA, &memory);
#endif
}

int main(int count, char **arguments)
{
    const char *problems;
    char *results;
    int64_t many;
    if (count < 5) return 2;
    page = (size_t)sysconf(_SC_PAGESIZE);
    limit_itself(arguments[4]);
    results = map_file(arguments[2], 1);
    head = (volatile Head *)results;
    problems = map_file(arguments[1], 0);
    load(count > 5 ? arguments[5] : NULL);
    usual = mode();
#ifndef HOST_SANITIZED
    catch_touches();
#endif
    memcpy(&many, problems, sizeof many);
    for (int64_t k = atol(arguments[3]); k < many; k++) {
        problem = (const Problem *)(problems + sizeof many) + k;
        record = (Record *)(results + problem->result);
        head->problem = (int32_t)k;
        open_problem(problems);
        watch_mode = problem->kind == SAFE;
        if (problem->way && !run) say(REFUSED, "it has no cgru_judge_run");
        else if (problem->kind == MEASURE) measure((double *)(record + 1));
        else if (problem->kind == SAFE) is_it_safe((float *)(record + 1));
        else compute((float *)(record + 1));
        for (int which = 0; which < GUARDS; which++) take_away(which);
    }
    head->finished = 1;
    _exit(0);
}
