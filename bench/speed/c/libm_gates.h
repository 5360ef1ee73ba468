/* The gates of one row by expf and tanhf, as a textbook has them. Sums stand gate by gate, H numbers each. */
#ifndef LIBM_GATES_H
#define LIBM_GATES_H

#include <math.h>

static float sigmoid(float v)
{
    return 1.0f / (1.0f + expf(-v));
}

/* h[H] from a[3 * H] = W x + b and b[3 * H] = U h + c */
static void gru_gates(int H, const float *restrict a, const float *restrict b, float *restrict h)
{
    for (int j = 0; j < H; j++) {
        float r = sigmoid(a[j] + b[j]);
        float z = sigmoid(a[H + j] + b[H + j]);
        float n = tanhf(a[2 * H + j] + r * b[2 * H + j]);
        h[j] = (1.0f - z) * n + z * h[j];
    }
}

/* h[H] and c[H] from the same of four gates */
static void lstm_gates(int H, const float *restrict a, const float *restrict b, float *restrict h, float *restrict c)
{
    for (int j = 0; j < H; j++) {
        float in = sigmoid(a[j] + b[j]);
        float forget = sigmoid(a[H + j] + b[H + j]);
        float candidate = tanhf(a[2 * H + j] + b[2 * H + j]);
        float out = sigmoid(a[3 * H + j] + b[3 * H + j]);
        c[j] = forget * c[j] + in * candidate;
        h[j] = out * tanhf(c[j]);
    }
}

#endif
