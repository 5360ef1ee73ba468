/* "The panel and gate loops alone": a layer in plain C with packed weights, no checks, no Python, one row.
 * It is the yardstick for what a step costs around its arithmetic.
 *
 * Layout: hidden units in blocks of LANES; the columns of a block's gates side by side; GROUP blocks side by side
 * in one panel of K x WIDTH columns, zero-padded, 64-byte aligned. GROUP is as many as give the FMA pipes
 * enough independent sums and still fit the registers. Each sum starts from its bias and adds k in ascending
 * order. Compiled for each cell and shape (CGRU_JUDGE_FIXED) for the cell's sake alone: the loops' bounds are read at run
 * time, and what is constant is the number of gates.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cgru_judge.h"

#if CGRU_JUDGE_CELL == 2
#define LSTM
#define GATES 4
#else
#define GATES 3
#endif

#if defined(__AVX512F__)
#define LANES 16
#define GROUP 2
#elif defined(__AVX__)
#define LANES 8
#define GROUP 4
#else
#define LANES 4
#define GROUP 4
#endif
#define UNITS (GROUP * LANES)
#define WIDTH (GATES * UNITS)

typedef struct {
    int64_t inputs, hidden, groups;
    float *weights;                 /* by groups: bias and panel of the input, then bias and panel of the recurrence */
    float *state, *cell, *fresh;    /* padded to whole groups, so that no loop has a tail */
} Model;

static int64_t group_floats(const Model *m)
{
    return (m->inputs + m->hidden + 2) * WIDTH;
}

/* out[1 + depth, GROUP, GATES, LANES]: the bias, then the columns of w[GH, depth] that belong to the group */
static void pack_matrix(const Model *m, int64_t group, int64_t depth, const float *w, const float *bias, float *out)
{
    const int64_t H = m->hidden;
    for (int64_t column = 0; column < WIDTH; column++) {
        int64_t block = column / (GATES * LANES), gate = column / LANES % GATES;
        int64_t unit = group * UNITS + block * LANES + column % LANES, row = gate * H + unit;
        out[column] = unit < H ? bias[row] : 0.0f;
        for (int64_t k = 0; k < depth; k++)
            out[(k + 1) * WIDTH + column] = unit < H ? w[row * depth + k] : 0.0f;
    }
}

void *cgru_judge_make(const cgru_judge_layer *layer)
{
    if (layer->rows != 1 || layer->cell != CGRU_JUDGE_CELL || layer->cell == CGRU_JUDGE_RNN || !layer->reset_after)
        return NULL;
    Model *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->inputs = layer->input_size, m->hidden = layer->hidden_size;
    m->groups = (m->hidden + UNITS - 1) / UNITS;
    const size_t padded = (size_t)(m->groups * UNITS), floats = (size_t)(m->groups * group_floats(m)) + 3 * padded;
    void *memory = NULL;
    if (posix_memalign(&memory, 64, floats * sizeof(float))) {
        free(m);
        return NULL;
    }
    memset(memory, 0, floats * sizeof(float));
    m->weights = memory;
    m->state = m->weights + m->groups * group_floats(m), m->cell = m->state + padded, m->fresh = m->cell + padded;
    for (int64_t i = 0; i < m->groups; i++) {
        float *out = m->weights + i * group_floats(m);
        pack_matrix(m, i, m->inputs, layer->weight_ih, layer->bias_ih, out);
        pack_matrix(m, i, m->hidden, layer->weight_hh, layer->bias_hh, out + (m->inputs + 1) * WIDTH);
    }
    return m;
}

int cgru_judge_reset(void *model, const float *h_0, const float *c_0)
{
    Model *m = model;
    memcpy(m->state, h_0, sizeof(float) * (size_t)m->hidden);
    if (c_0)
        memcpy(m->cell, c_0, sizeof(float) * (size_t)m->hidden);
    return 0;
}

void cgru_judge_free(void *model)
{
    free(((Model *)model)->weights);
    free(model);
}

/* exp(v) for v <= 0, to 2e-7 relative: 2^whole by the exponent's bits, 2^fraction by a Taylor polynomial in
 * v - whole * log(2), |that| <= 0.35; the two halves of log(2) are Cody and Waite's. Below -87 it is 1.6e-38.
 */
static inline float exp_negative(float v)
{
    union { float f; int32_t i; } shifted, scale;
    float whole, t, p;

    v = v < -87.0f ? -87.0f : v;
    shifted.f = v * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to the nearest integer */
    whole = shifted.f - 12582912.0f;
    t = v - whole * 0.693359375f;
    t = t + whole * 2.12194440e-4f;
    p = 1.98412698e-4f;
    p = p * t + 1.38888889e-3f;
    p = p * t + 8.33333333e-3f;
    p = p * t + 4.16666667e-2f;
    p = p * t + 1.66666667e-1f;
    p = p * t + 0.5f;
    p = p * t + 1.0f;
    p = p * t + 1.0f;
    scale.i = (shifted.i - 0x4B400000 + 127) << 23;
    return p * scale.f;
}

static inline float sigmoid(float v)
{
    float e = exp_negative(v < 0.0f ? v : -v), s = 1.0f / (1.0f + e);
    return v < 0.0f ? e * s : s;
}

static inline float tanh_(float v)
{
    float e = exp_negative(v < 0.0f ? v + v : -(v + v)), s = (1.0f - e) / (1.0f + e);
    return v < 0.0f ? -s : s;
}

/* sums[WIDTH] = bias + a[depth] panel[depth, WIDTH], k ascending */
static inline void panel_row(const float *restrict panel, const float *restrict a, int64_t depth,
                             float *restrict sums)
{
    float acc[WIDTH];
    for (int j = 0; j < WIDTH; j++)
        acc[j] = panel[j];
    for (int64_t k = 0; k < depth; k++) {
        panel += WIDTH;
        for (int j = 0; j < WIDTH; j++)
            acc[j] += a[k] * panel[j];
    }
    for (int j = 0; j < WIDTH; j++)
        sums[j] = acc[j];
}

/* h'[LANES], and an LSTM's c[LANES] in place, from the two sums[GATES,LANES] of a block and its old h[LANES] */
static inline void gates(const float *restrict a, const float *restrict b, const float *restrict h,
                         float *restrict c, float *restrict out)
{
    for (int j = 0; j < LANES; j++) {
#if defined(LSTM)
        float in = sigmoid(a[j] + b[j]);
        float forget = sigmoid(a[LANES + j] + b[LANES + j]);
        float candidate = tanh_(a[2 * LANES + j] + b[2 * LANES + j]);
        float way_out = sigmoid(a[3 * LANES + j] + b[3 * LANES + j]);
        float cell = forget * c[j] + in * candidate;
        (void)h;
        c[j] = cell;
        out[j] = way_out * tanh_(cell);
#else
        float r = sigmoid(a[j] + b[j]);
        float z = sigmoid(a[LANES + j] + b[LANES + j]);
        float n = tanh_(a[2 * LANES + j] + r * b[2 * LANES + j]);
        (void)c;
        out[j] = n + z * (h[j] - n);
#endif
    }
}

/* One row only, and no input projection ahead of the steps. */
void cgru_judge_step(void *model, const float *x, float *y)
{
    const Model *m = model;
    const int64_t H = m->hidden, size = group_floats(m);
    float gi[WIDTH] __attribute__((aligned(64))), gh[WIDTH] __attribute__((aligned(64)));

    for (int64_t i = 0; i < m->groups; i++) {
        const float *panel = m->weights + i * size;
        panel_row(panel, x, m->inputs, gi);
        panel_row(panel + (m->inputs + 1) * WIDTH, m->state, H, gh);
        for (int b = 0; b < GROUP; b++) {
            int64_t unit = i * UNITS + LANES * b, sums = GATES * LANES * b;
            gates(gi + sums, gh + sums, m->state + unit, m->cell + unit, m->fresh + unit);
        }
    }
    memcpy(m->state, m->fresh, sizeof(float) * (size_t)(m->groups * UNITS));
    memcpy(y, m->state, sizeof(float) * (size_t)H);
}

const char *cgru_judge_name(void)
{
    return "C panels";
}
