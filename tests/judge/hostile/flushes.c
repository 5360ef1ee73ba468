/* Says in y whether this process flushes subnormals: a product below the smallest normal number, or 0. */
#include <stdlib.h>

#include <cgru_judge.h>

void *cgru_judge_make(const cgru_judge_layer *layer)
{
    int *H = (int *)malloc(sizeof *H);
    *H = layer->hidden_size;
    return H;
}

int cgru_judge_reset(void *model, const float *h_0, const float *c_0)
{
    (void)model, (void)h_0, (void)c_0;
    return 0;
}

void cgru_judge_step(void *model, const float *x, float *y)
{
    volatile float small = 1e-30f, smaller = 1e-10f;
    (void)x;
    for (int j = 0; j < *(int *)model; j++) y[j] = small * smaller;
}

void cgru_judge_free(void *model) { free(model); }
