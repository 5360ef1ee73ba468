/* The textbook layer in C: nested loops over the weights as PyTorch stores them, and libm. */
#include "textbook.h"

void cgru_judge_step(void *model, const float *x, float *y)
{
    Textbook *m = model;
    const int I = m->I, H = m->H, columns = m->columns;

    for (int n = 0; n < m->rows; n++) {
        const float *x_n = x + (size_t)n * (size_t)I, *h = m->h + (size_t)n * (size_t)H;
        float *a = m->a + (size_t)n * (size_t)columns, *b = m->b + (size_t)n * (size_t)columns;
        for (int j = 0; j < columns; j++) {
            const float *w = m->w_ih + (size_t)j * (size_t)I, *u = m->w_hh + (size_t)j * (size_t)H;
            float sum_i = m->b_ih[j], sum_h = m->b_hh[j];
            for (int k = 0; k < I; k++)
                sum_i += w[k] * x_n[k];
            for (int k = 0; k < H; k++)
                sum_h += u[k] * h[k];
            a[j] = sum_i;
            b[j] = sum_h;
        }
    }
    textbook_gates(m, m->a, m->b, y);
}

void cgru_judge_run(void *model, int steps, const float *x, float *y)
{
    const Textbook *m = model;
    for (int t = 0; t < steps; t++)
        cgru_judge_step(model, x + (size_t)t * (size_t)(m->rows * m->I), y + (size_t)t * (size_t)(m->rows * m->H));
}

const char *cgru_judge_name(void)
{
    return "C naive";
}
