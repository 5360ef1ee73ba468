/* Of host.c, which includes it in its place: safe, the same again after all that must not change it. */
#ifndef CGRU_HOST_SAFE_H
#define CGRU_HOST_SAFE_H

static const double tolerance = 1e-4;       /* of what must be the same; numbers may be summed in another order */

static void same(const float *expected, const float *found, const char *after)
{
    size_t count = problem->steps * counts[Y];
    for (size_t k = 0; k < count; k++) {
        double e = expected[k], f = found[k], size = fabs(e) > 1 ? fabs(e) : 1;
        if (e == f || (e != e && f != f) || fabs(e - f) <= tolerance * size) continue;
        say(DISTURBED, "%s its outputs are others: %.6g for %.6g at step %ld, place %ld", after, f, e,
            (long)(k / counts[Y]), (long)(k % counts[Y]));
        _exit(0);
    }
}

static void *again(const float *const *weights, const char *when)
{
    void *model = its_make(weights);
    if (model) return model;
    say(DISTURBED, "cgru_judge_make gave NULL %s", when);
    _exit(0);
}

static void restart(void *model, const char *when)
{
    if (its_reset(model)) return;
    say(DISTURBED, "cgru_judge_reset gave another answer %s", when);
    _exit(0);
}

/* Both models, a part of the steps each in turn. */
static void in_turn(void *first, float *of_first, void *second, float *of_second)
{
    int steps = (int)problem->steps, part = problem->way ? (steps + 1) / 2 : 1;
    restart(first, "beside another model");
    restart(second, "beside another model");
    for (int t = 0; t < steps; t += part) {
        int now = t + part > steps ? steps - t : part;
        its_steps(first, t, now, of_first);
        its_steps(second, t, now, of_second);
    }
}

/* The first steps in one run, the others in the next: it carries its state over. */
static void in_two_parts(void *model, float *to)
{
    int steps = (int)problem->steps, part = (steps + 1) / 2;
    restart(model, "before a run in two parts");
    its_steps(model, 0, part, to);
    its_steps(model, part, steps - part, to);
}

/* Other weights of the same shape: the numbers from back to front. */
static float *backwards(const float **weights)
{
    size_t total = counts[WEIGHT_IH] + counts[WEIGHT_HH] + 2 * counts[BIAS_IH];
    float *all = (float *)aligned(total * sizeof *all), *at = all;
    for (int which = WEIGHT_IH; which <= BIAS_HH; which++) {
        for (size_t k = 0; k < counts[which]; k++) at[k] = -numbers[which][counts[which] - 1 - k];
        weights[which] = at;
        at += counts[which];
    }
    return all;
}

/* Bytes that are taken from the heap; 0 where nobody says. */
static size_t heap(void)
{
#if defined(HOST_SANITIZED)
    return __sanitizer_get_current_allocated_bytes();
#elif defined(HAS_MALLINFO2)
    struct mallinfo2 facts = mallinfo2();
    return facts.uordblks + facts.hblkhd;
#else
    return 0;
#endif
}

/* What a life of a model, with a step, leaves on the heap. Not what the first ones leave: that may be kept for the next,
   and malloc has a store of freed blocks that count as taken. */
static long leak(void)
{
    enum { FIRST = 10, LIVES = 14 };
    float *y = (float *)aligned(problem->steps * counts[Y] * sizeof *y);
    size_t before = 0, now = 0;
    int grows = 1;
    for (int life = 0; life < LIVES; life++) {
        void *model = again(numbers, "after others were freed");
        restart(model, "after others were freed");
        its_steps(model, 0, 1, y);
        its_free(model);
        if (life == FIRST) before = heap();
        if (life > FIRST) grows = grows && heap() > now;
        now = heap();
    }
    free(y);
    return grows ? (long)(now - before) / (LIVES - 1 - FIRST) : 0;
}

static void is_it_safe(float *y)
{
    long left;
    int steps = (int)problem->steps;
    size_t bytes = steps * counts[Y] * sizeof(float);
    float *others = (float *)aligned(bytes), *alone = (float *)aligned(bytes), *found = (float *)aligned(bytes);
    const float *weights[GUARDS];
    float *kept = backwards(weights);
    void *model = its_make(numbers), *second;
    if (model && !its_reset(model)) {
        its_free(model);
        model = NULL;
    }
    if (model) {
        its_steps(model, 0, steps, y);
        restart(model, "after some steps");
        restart(model, "after a reset");
        its_steps(model, 0, steps, found);
        same(y, found, "after two resets");
        if (problem->way) {
            in_two_parts(model, found);
            same(y, found, "in a run in two parts");
        }
        second = again(weights, "for a second model beside the first");
        restart(second, "for a second model");
        its_steps(second, 0, steps, alone);
        in_turn(model, found, second, others);
        same(y, found, "with a second model beside it");
        same(alone, others, "stepped in turn with another model");
        its_free(second);
        restart(model, "after another model was freed");
        its_steps(model, 0, steps, found);
        same(y, found, "after another model was freed");
        its_free(model);
        model = again(numbers, "after the first was freed");
        restart(model, "after the first was freed");
        its_steps(model, 0, steps, found);
        same(y, found, "made again");
        its_free(model);
        left = leak();
        if (left) say(OK, "each model leaves %ld bytes on the heap when it is freed", left);
        else say(OK, "");
    }
    free(others);
    free(alone);
    free(found);
    free(kept);
}

#endif
