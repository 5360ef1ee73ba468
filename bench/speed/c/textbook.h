/* What the textbook layers share: the weights as PyTorch stores them, copied, the states, and room for sums. */
#ifndef TEXTBOOK_H
#define TEXTBOOK_H

#include <stdlib.h>
#include <string.h>

#include "cgru_judge.h"
#include "libm_gates.h"

typedef struct {
    int is_lstm, I, H, rows, columns;               /* columns: H for each gate */
    float *w_ih, *w_hh, *b_ih, *b_hh;               /* (columns, I), (columns, H), (columns) */
    float *h, *c;                                   /* (rows, H) */
    float *a, *b;                                   /* sums: (room, columns), (rows, columns) */
    int room;                                       /* rows of a */
} Textbook;

static float *copied(const float *from, size_t count)
{
    float *to = malloc((count ? count : 1) * sizeof *to);
    if (to && from)
        memcpy(to, from, count * sizeof *to);
    return to;
}

void cgru_judge_free(void *model)
{
    Textbook *m = model;
    float *owned[] = {m->w_ih, m->w_hh, m->b_ih, m->b_hh, m->h, m->c, m->a, m->b};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    free(m);
}

void *cgru_judge_make(const cgru_judge_layer *layer)
{
    const int is_lstm = layer->cell == CGRU_JUDGE_LSTM;
    if (!is_lstm && !(layer->cell == CGRU_JUDGE_GRU && layer->reset_after))
        return NULL;
    Textbook *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    const size_t I = (size_t)layer->input_size, H = (size_t)layer->hidden_size, N = (size_t)layer->rows;
    const size_t columns = (is_lstm ? 4 : 3) * H;
    m->is_lstm = is_lstm, m->I = (int)I, m->H = (int)H, m->rows = (int)N, m->columns = (int)columns, m->room = (int)N;
    m->w_ih = copied(layer->weight_ih, columns * I), m->w_hh = copied(layer->weight_hh, columns * H);
    m->b_ih = copied(layer->bias_ih, columns), m->b_hh = copied(layer->bias_hh, columns);
    m->h = copied(NULL, N * H), m->c = copied(NULL, N * H);
    m->a = copied(NULL, N * columns), m->b = copied(NULL, N * columns);
    if (!m->w_ih || !m->w_hh || !m->b_ih || !m->b_hh || !m->h || !m->c || !m->a || !m->b) {
        cgru_judge_free(m);
        return NULL;
    }
    return m;
}

int cgru_judge_reset(void *model, const float *h_0, const float *c_0)
{
    Textbook *m = model;
    const size_t size = (size_t)m->rows * (size_t)m->H * sizeof(float);
    memcpy(m->h, h_0, size);
    if (m->is_lstm)
        memcpy(m->c, c_0, size);
    return 0;
}

/* One step of every row from its sums: of the input a (rows, columns), of the state b; y is the new h. */
static void textbook_gates(Textbook *m, const float *a, const float *b, float *y)
{
    const size_t H = (size_t)m->H, columns = (size_t)m->columns;
    for (size_t n = 0; n < (size_t)m->rows; n++) {
        if (m->is_lstm)
            lstm_gates(m->H, a + n * columns, b + n * columns, m->h + n * H, m->c + n * H);
        else
            gru_gates(m->H, a + n * columns, b + n * columns, m->h + n * H);
    }
    memcpy(y, m->h, (size_t)m->rows * H * sizeof *y);
}

#endif
