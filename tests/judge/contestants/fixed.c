/* A GRU whose sizes are those of the compiler's command line: CGRU_JUDGE_FIXED. One row, h of zeros at first. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cgru_judge.h>

#if CGRU_JUDGE_CELL != CGRU_JUDGE_GRU
#error "only GRUs"
#endif

enum { I = CGRU_JUDGE_INPUT_SIZE, H = CGRU_JUDGE_HIDDEN_SIZE };

typedef struct {
    float weight_ih[3][H][I], weight_hh[3][H][H], bias_ih[3][H], bias_hh[3][H], h[H];
} Layer;

void *cgru_judge_make(const cgru_judge_layer *layer)
{
    Layer *m;
    if (layer->cell != CGRU_JUDGE_CELL || layer->input_size != I || layer->hidden_size != H) abort();   /* never */
    if (layer->rows > 1 || !layer->reset_after) return NULL;
    m = malloc(sizeof *m);
    memcpy(m->weight_ih, layer->weight_ih, sizeof m->weight_ih);
    memcpy(m->weight_hh, layer->weight_hh, sizeof m->weight_hh);
    memcpy(m->bias_ih, layer->bias_ih, sizeof m->bias_ih);
    memcpy(m->bias_hh, layer->bias_hh, sizeof m->bias_hh);
    return m;
}

int cgru_judge_reset(void *model, const float *h_0, const float *c_0)
{
    (void)c_0;
    for (int j = 0; j < H; j++)
        if (h_0[j] != 0) return -1;
    memset(((Layer *)model)->h, 0, H * sizeof(float));
    return 0;
}

void cgru_judge_step(void *model, const float *x, float *y)
{
    Layer *m = model;
    float h[H];
    for (int j = 0; j < H; j++) {
        float a[3], b[3];
        for (int g = 0; g < 3; g++) {
            a[g] = m->bias_ih[g][j];
            b[g] = m->bias_hh[g][j];
            for (int k = 0; k < I; k++) a[g] += m->weight_ih[g][j][k] * x[k];
            for (int k = 0; k < H; k++) b[g] += m->weight_hh[g][j][k] * m->h[k];
        }
        float r = 1 / (1 + expf(-a[0] - b[0])), z = 1 / (1 + expf(-a[1] - b[1]));
        h[j] = (1 - z) * tanhf(a[2] + r * b[2]) + z * m->h[j];
    }
    memcpy(m->h, h, sizeof h);
    memcpy(y, h, sizeof h);
}

void cgru_judge_free(void *model) { free(model); }
