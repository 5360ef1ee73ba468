/* The gates of one row by expf and tanhf, as a textbook has them. Sums stand gate by gate, H numbers each. */
#include <math.h>

#include "harness.h"

static float sigmoid(float v)
{
    return 1.0f / (1.0f + expf(-v));
}

/* h[H], and an LSTM's c[H], from a[G * H] = W x + b and b[G * H] = U h + c */
static void gates(int64_t H, const float *restrict a, const float *restrict b, float *restrict h, float *restrict c)
{
    for (int64_t j = 0; j < H; j++) {
#if defined(LSTM)
        float in = sigmoid(a[j] + b[j]);
        float forget = sigmoid(a[H + j] + b[H + j]);
        float candidate = tanhf(a[2 * H + j] + b[2 * H + j]);
        float out = sigmoid(a[3 * H + j] + b[3 * H + j]);
        c[j] = forget * c[j] + in * candidate;
        h[j] = out * tanhf(c[j]);
#else
        float r = sigmoid(a[j] + b[j]);
        float z = sigmoid(a[H + j] + b[H + j]);
        float n = tanhf(a[2 * H + j] + r * b[2 * H + j]);
        (void)c;
        h[j] = (1.0f - z) * n + z * h[j];
#endif
    }
}
