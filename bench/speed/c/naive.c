/* The textbook GRU in C: three nested loops over the weights as PyTorch stores them, and libm.
 *
 *     r = sigmoid(W_r x + b_r + U_r h + c_r)       z = sigmoid(W_z x + b_z + U_z h + c_z)
 *     n = tanh(W_n x + b_n + r * (U_n h + c_n))    h' = (1 - z) * n + z * h
 */
#include <math.h>

#include "harness.h"

EXPORT int64_t gru_scratch(const struct gru *g)
{
    return 6 * g->hidden;
}

static float sigmoid(float v)
{
    return 1.0f / (1.0f + expf(-v));
}

static void run(const struct gru *g)
{
    const int64_t ni = g->inputs, H = g->hidden;
    float *gi = g->scratch, *gh = g->scratch + 3 * H;

    for (int64_t t = 0; t < g->steps; t++) {
        for (int64_t n = 0; n < g->rows; n++) {
            const float *x = g->x + (t * g->rows + n) * ni;
            float *h = g->h + n * H;
            for (int64_t j = 0; j < 3 * H; j++) {
                float sum_i = g->b_ih[j], sum_h = g->b_hh[j];
                for (int64_t k = 0; k < ni; k++)
                    sum_i += g->w_ih[j * ni + k] * x[k];
                for (int64_t k = 0; k < H; k++)
                    sum_h += g->w_hh[j * H + k] * h[k];
                gi[j] = sum_i;
                gh[j] = sum_h;
            }
            for (int64_t j = 0; j < H; j++) {
                float r = sigmoid(gi[j] + gh[j]);
                float z = sigmoid(gi[H + j] + gh[H + j]);
                float c = tanhf(gi[2 * H + j] + r * gh[2 * H + j]);
                h[j] = (1.0f - z) * c + z * h[j];
            }
            memcpy(g->y + (t * g->rows + n) * H, h, sizeof(float) * (size_t)H);
        }
    }
}
