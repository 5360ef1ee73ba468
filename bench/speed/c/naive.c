/* The textbook layer in C: three nested loops over the weights as PyTorch stores them, and libm. */
#include "libm_gates.h"

EXPORT int64_t layer_scratch(const struct layer *l)
{
    return 2 * GATES * l->hidden;
}

static void run(const struct layer *l)
{
    const int64_t ni = l->inputs, H = l->hidden;
    float *gi = l->scratch, *gh = l->scratch + GATES * H;

    for (int64_t t = 0; t < l->steps; t++) {
        for (int64_t n = 0; n < l->rows; n++) {
            const float *x = l->x + (t * l->rows + n) * ni;
            float *h = l->h + n * H;
            for (int64_t j = 0; j < GATES * H; j++) {
                float sum_i = l->b_ih[j], sum_h = l->b_hh[j];
                for (int64_t k = 0; k < ni; k++)
                    sum_i += l->w_ih[j * ni + k] * x[k];
                for (int64_t k = 0; k < H; k++)
                    sum_h += l->w_hh[j * H + k] * h[k];
                gi[j] = sum_i;
                gh[j] = sum_h;
            }
            gates(H, gi, gh, h, h + l->rows * H);
            memcpy(l->y + (t * l->rows + n) * H, h, sizeof(float) * (size_t)H);
        }
    }
}
