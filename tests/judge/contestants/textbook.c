/* A GRU, an LSTM and an RNN as a textbook writes them: float, one loop inside another. C99 and C++. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cgru_judge.h>

typedef struct {
    int cell, I, H, rows, reset_after;
    float *weight_ih, *weight_hh, *bias_ih, *bias_hh;       /* in one block, and behind them h, c, two sums and h again */
    float *h, *c, *of_x, *of_h, *next;
} Layer;

static int gates(int cell) { return cell == CGRU_JUDGE_GRU ? 3 : cell == CGRU_JUDGE_LSTM ? 4 : 1; }

static float *take(float **at, size_t count, const float *source)
{
    float *start = *at;
    if (source) memcpy(start, source, count * sizeof *start);
    *at += count;
    return start;
}

void *cgru_judge_make(const cgru_judge_layer *layer)
{
    Layer *m = (Layer *)malloc(sizeof *m);
    size_t I = layer->input_size, H = layer->hidden_size, G = gates(layer->cell) * H, N = layer->rows;
    float *at = (float *)malloc((G * (I + H + 4) + 3 * N * H) * sizeof *at);
    m->cell = layer->cell;
    m->I = layer->input_size;
    m->H = layer->hidden_size;
    m->rows = layer->rows;
    m->reset_after = layer->reset_after;
    m->weight_ih = take(&at, G * I, layer->weight_ih);
    m->weight_hh = take(&at, G * H, layer->weight_hh);
    m->bias_ih = take(&at, G, layer->bias_ih);
    m->bias_hh = take(&at, G, layer->bias_hh);
    m->of_x = take(&at, G, NULL);
    m->of_h = take(&at, G, NULL);
    m->h = take(&at, N * H, NULL);
    m->c = take(&at, N * H, NULL);
    m->next = take(&at, N * H, NULL);
    return m;
}

int cgru_judge_reset(void *model, const float *h_0, const float *c_0)
{
    Layer *m = (Layer *)model;
    size_t bytes = (size_t)m->rows * m->H * sizeof(float);
    memcpy(m->h, h_0, bytes);
    if (c_0) memcpy(m->c, c_0, bytes);
    return 0;
}

static float sigmoid(float a) { return 1 / (1 + expf(-a)); }

static float dot(const float *a, const float *b, int count)
{
    float sum = 0;
    for (int k = 0; k < count; k++) sum += a[k] * b[k];
    return sum;
}

static void row(Layer *m, const float *x, const float *h, float *c, float *next)
{
    int H = m->H, G = gates(m->cell) * H;
    float *a = m->of_x, *b = m->of_h;
    for (int k = 0; k < G; k++) {
        a[k] = dot(m->weight_ih + k * m->I, x, m->I) + m->bias_ih[k];
        b[k] = dot(m->weight_hh + k * H, h, H) + m->bias_hh[k];
    }
    if (m->cell == CGRU_JUDGE_GRU && !m->reset_after) {
        for (int j = 0; j < H; j++) next[j] = sigmoid(a[j] + b[j]) * h[j];
        for (int k = 2 * H; k < G; k++) b[k] = dot(m->weight_hh + k * H, next, H) + m->bias_hh[k];
    }
    for (int j = 0; j < H; j++) {
        if (m->cell == CGRU_JUDGE_RNN) {
            next[j] = tanhf(a[j] + b[j]);
        } else if (m->cell == CGRU_JUDGE_LSTM) {
            float i = sigmoid(a[j] + b[j]), f = sigmoid(a[H + j] + b[H + j]), g = tanhf(a[2 * H + j] + b[2 * H + j]);
            c[j] = f * c[j] + i * g;
            next[j] = sigmoid(a[3 * H + j] + b[3 * H + j]) * tanhf(c[j]);
        } else {
            float r = m->reset_after ? sigmoid(a[j] + b[j]) : 1, z = sigmoid(a[H + j] + b[H + j]);
            next[j] = (1 - z) * tanhf(a[2 * H + j] + r * b[2 * H + j]) + z * h[j];
        }
    }
}

void cgru_judge_step(void *model, const float *x, float *y)
{
    Layer *m = (Layer *)model;
    size_t size = (size_t)m->rows * m->H;
    for (int n = 0; n < m->rows; n++) row(m, x + n * m->I, m->h + n * m->H, m->c + n * m->H, m->next + n * m->H);
    memcpy(m->h, m->next, size * sizeof *y);
    memcpy(y, m->next, size * sizeof *y);
}

void cgru_judge_run(void *model, int steps, const float *x, float *y)
{
    Layer *m = (Layer *)model;
    for (int t = 0; t < steps; t++) cgru_judge_step(model, x + t * m->rows * m->I, y + t * m->rows * m->H);
}

void cgru_judge_free(void *model)
{
    Layer *m = (Layer *)model;
    free(m->weight_ih);
    free(m);
}

const char *cgru_judge_name(void) { return "textbook loops"; }
