/* The textbook's layer, whose only state is a global: every model steps the same one. */
#define cgru_judge_reset good_reset
#define cgru_judge_step good_step
#define cgru_judge_run good_run
#include "textbook.c"
#undef cgru_judge_reset
#undef cgru_judge_step
#undef cgru_judge_run

static float state[2][70 * 3];

int cgru_judge_reset(void *model, const float *h_0, const float *c_0)
{
    size_t bytes = (size_t)((Layer *)model)->rows * ((Layer *)model)->H * sizeof(float);
    memcpy(state[0], h_0, bytes);
    if (c_0) memcpy(state[1], c_0, bytes);
    return 0;
}

void cgru_judge_step(void *model, const float *x, float *y)
{
    Layer *m = (Layer *)model;
    size_t bytes = (size_t)m->rows * m->H * sizeof(float);
    memcpy(m->h, state[0], bytes);
    memcpy(m->c, state[1], bytes);
    good_step(model, x, y);
    memcpy(state[0], m->h, bytes);
    memcpy(state[1], m->c, bytes);
}
