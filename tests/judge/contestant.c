/* Plain loops over a layer of any kind, in double; and what goes wrong with it, by a macro given to the compiler.
   C99 and C++. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cgru_judge.h>

typedef struct {
    cgru_judge_layer layer;
    float *numbers;         /* the arrays of the layer, then h, c and a new h */
    float *h, *c, *next;
} Model;

#ifdef ONLY_GRU
#define CELLS 1
#else
#define CELLS 3
#endif

static float *copy(float **to, const float *from, size_t count)
{
    float *start = *to;
    memcpy(start, from, count * sizeof *from);
    *to += count;
    return start;
}

void *cgru_judge_make(const cgru_judge_layer *layer)
{
    static const int gates[] = {3, 1, 4};
    size_t I = layer->input_size, H = layer->hidden_size, rows = layer->rows, G = gates[layer->cell] * H;
    Model *model;
    float *to;
    if (layer->cell >= CELLS) return NULL;
#ifdef ONE_ROW
    if (rows > 1) return NULL;
#endif
    model = (Model *)malloc(sizeof *model);
    to = model->numbers = (float *)malloc((G * (I + H + 2) + 3 * rows * H) * sizeof *to);
    model->layer = *layer;
    model->layer.weight_ih = copy(&to, layer->weight_ih, G * I);
    model->layer.weight_hh = copy(&to, layer->weight_hh, G * H);
    model->layer.bias_ih = copy(&to, layer->bias_ih, G);
    model->layer.bias_hh = copy(&to, layer->bias_hh, G);
    model->h = to;
    model->c = to + rows * H;
    model->next = model->c + rows * H;
    return model;
}

int cgru_judge_reset(void *given, const float *h_0, const float *c_0)
{
    Model *model = (Model *)given;
    size_t size = (size_t)model->layer.rows * model->layer.hidden_size;
    memcpy(model->h, h_0, size * sizeof *h_0);
    if (c_0) memcpy(model->c, c_0, size * sizeof *c_0);
    return 0;
}

static double sigmoid(double a) { return 1 / (1 + exp(-a)); }

static double of_x(const Model *m, int k, const float *x)
{
    double sum = m->layer.bias_ih[k];
    for (int i = 0; i < m->layer.input_size; i++) sum += (double)m->layer.weight_ih[k * m->layer.input_size + i] * x[i];
    return sum;
}

/* of h, or of r * h where there is an r */
static double of_h(const Model *m, int k, const float *h, const double *r)
{
    double sum = m->layer.bias_hh[k];
    for (int j = 0; j < m->layer.hidden_size; j++)
        sum += (double)m->layer.weight_hh[k * m->layer.hidden_size + j] * h[j] * (r ? r[j] : 1);
    return sum;
}

static void row(Model *m, const float *x, float *h, float *c, float *next)
{
    int H = m->layer.hidden_size;
    double r[128];
    for (int j = 0; j < H && m->layer.cell == CGRU_JUDGE_GRU; j++) r[j] = sigmoid(of_x(m, j, x) + of_h(m, j, h, NULL));
    for (int j = 0; j < H; j++) {
        if (m->layer.cell == CGRU_JUDGE_RNN) {
            next[j] = (float)tanh(of_x(m, j, x) + of_h(m, j, h, NULL));
        } else if (m->layer.cell == CGRU_JUDGE_LSTM) {
            double i = sigmoid(of_x(m, j, x) + of_h(m, j, h, NULL)), g, o;
            double f = sigmoid(of_x(m, H + j, x) + of_h(m, H + j, h, NULL));
            g = tanh(of_x(m, 2 * H + j, x) + of_h(m, 2 * H + j, h, NULL));
            o = sigmoid(of_x(m, 3 * H + j, x) + of_h(m, 3 * H + j, h, NULL));
            c[j] = (float)(f * c[j] + i * g);
            next[j] = (float)(o * tanh(c[j]));
        } else {
            double z = sigmoid(of_x(m, H + j, x) + of_h(m, H + j, h, NULL)), q, n;
            q = m->layer.reset_after ? r[j] * of_h(m, 2 * H + j, h, NULL) : of_h(m, 2 * H + j, h, r);
            n = tanh(of_x(m, 2 * H + j, x) + q);
#ifdef Z_TAKES
            z = 1 - z;
#endif
            next[j] = (float)(z * h[j] + (1 - z) * n);
        }
    }
}

void cgru_judge_step(void *given, const float *x, float *y)
{
    Model *m = (Model *)given;
    size_t size = (size_t)m->layer.rows * m->layer.hidden_size;
    for (int n = 0; n < m->layer.rows; n++) {
        size_t at = (size_t)n * m->layer.hidden_size;
        row(m, x + n * m->layer.input_size, m->h + at, m->c + at, m->next + at);
    }
    memcpy(m->h, m->next, size * sizeof *y);
    memcpy(y, m->next, size * sizeof *y);
#ifdef GIVES_NAN
    y[size - 1] = NAN;
#endif
#ifdef CRASHES
    abort();
#endif
#ifdef WRITES_OUTSIDE
    y[size] = 1;
#endif
}

#ifndef NO_RUN
void cgru_judge_run(void *given, int steps, const float *x, float *y)
{
    Model *m = (Model *)given;
    size_t rows = m->layer.rows;
    for (int t = 0; t < steps; t++)
        cgru_judge_step(given, x + t * rows * m->layer.input_size, y + t * rows * m->layer.hidden_size);
}
#endif

#ifndef NO_FREE
void cgru_judge_free(void *given)
{
    Model *model = (Model *)given;
    free(model->numbers);
    free(model);
}
#endif
