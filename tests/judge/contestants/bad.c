/* The textbook's layer with one fault, chosen by a macro that is given to the compiler. */
#define cgru_judge_make good_make
#define cgru_judge_reset good_reset
#define cgru_judge_step good_step
#define cgru_judge_run good_run
#define cgru_judge_free good_free
#include "textbook.c"
#undef cgru_judge_make
#undef cgru_judge_reset
#undef cgru_judge_step
#undef cgru_judge_run
#undef cgru_judge_free

#include <fenv.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#ifdef FLUSHES
#include <xmmintrin.h>
#endif

static const float *kept;
static int made, resets;

void *cgru_judge_make(const cgru_judge_layer *layer)
{
    Layer *m;
    made++;
#if defined REFUSES_ALL
    return NULL;
#elif defined REFUSES_SECOND
    if (made > 1) return NULL;
#elif defined WRITES_WEIGHTS
    ((float *)layer->weight_hh)[0] = 1;
#elif defined CRASHES_AT_5
    if (layer->hidden_size == 5) abort();
#endif
    m = (Layer *)good_make(layer);
    kept = layer->weight_ih;
    return m;
}

int cgru_judge_reset(void *model, const float *h_0, const float *c_0)
{
    Layer *m = (Layer *)model;
    resets++;
#if defined REFUSES_STATE
    for (int k = 0; k < m->rows * m->H; k++)
        if (h_0[k] != 0) return 7;
#elif defined RESETS_ONCE
    if (resets > 1) return 0;
#elif defined KEEPS_STATE
    kept = h_0;
#elif defined PAST_STATE
    ((volatile float *)m->h)[0] = h_0[m->rows * m->H];
#endif
    (void)m;
    return good_reset(model, h_0, c_0);
}

static void overflow(volatile char *from)
{
    volatile char room[4096];
    room[0] = *from;
    overflow(room);
    room[1] = *from;
}

/* Over the head of the host's results. */
static void scribble(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, "/results")) {
            int32_t *head = (int32_t *)(uintptr_t)strtoull(line, NULL, 16);
            head[1] = 1000000;
            head[2] = 77;
        }
    abort();
}

#ifdef LACKS_STEP
#define cgru_judge_step another_step
#endif
void cgru_judge_step(void *model, const float *x, float *y)
{
    Layer *m = (Layer *)model;
    int in = m->rows * m->I, out = m->rows * m->H;
    volatile float seen = 0;
    (void)seen, (void)in, (void)out, (void)overflow, (void)scribble;
#if defined USES_WEIGHTS
    seen = kept[0];
#elif defined KEEPS_STATE
    seen = kept[0];
#elif defined INTO_X
    ((float *)x)[0] = 0;
#elif defined PAST_X
    seen = x[in];
#elif defined CRASHES
    *(volatile int *)16 = 1;
#elif defined ABORTS
    abort();
#elif defined OVERFLOWS
    overflow("");
#elif defined EXITS
    exit(EXITS);
#elif defined LOOPS
    for (;;) seen = seen + 1;
#elif defined FORKS
    if (fork() == 0) {
        FILE *file = fopen(FORKS, "w");
        fprintf(file, "%ld", (long)getpid());
        fclose(file);
    }
    for (;;) pause();
#elif defined SHOUTS
    for (int k = 0; k < 100000; k++) fprintf(stderr, "a line that nobody asked for\n");
#elif defined PAST_ITS_OWN
    m->next[out] = 1;           /* its own block, at its end */
#elif defined SCRIBBLES_AT_5
    if (m->H == 5) scribble();
#elif defined ROUNDS_UP
    fesetround(FE_UPWARD);
#elif defined FLUSHES
    _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined SHIFTS
    seen = (float)(1 << (31 + in));
#endif
    good_step(model, x, y);
#if defined PAST_Y
    y[m->rows * m->H + PAST_Y] = 1;
#elif defined BEFORE_Y
    y[-1] = 1;
#elif defined LEAVES_LAST
    y[out - 1] = NAN;
#elif defined WRONG_AT_22
    if (m->H == 22) y[out - 1] += 2e-5f;
#endif
}

void cgru_judge_run(void *model, int steps, const float *x, float *y)
{
#if defined RUN_FORGETS
    Layer *m = (Layer *)model;
    size_t bytes = (size_t)m->rows * m->H * sizeof *y;
    float *h = (float *)malloc(bytes);
    memcpy(h, m->h, bytes);
#endif
    good_run(model, steps, x, y);
#if defined RUN_FORGETS
    memcpy(m->h, h, bytes);
    free(h);
#endif
#if defined RUN_PAST_Y
    y[steps * ((Layer *)model)->rows * ((Layer *)model)->H] = 1;
#endif
}

void cgru_judge_free(void *model)
{
#if defined FREES_TWICE
    good_free(model);
#endif
#ifndef FREES_NOTHING
    good_free(model);
#endif
}
