/* The equations of FORMAT.md in double, written after that text alone; checks every case of cgru_cases.h to 1e-12.
   C99 and C++. Prints the number of cases; exit status 1 and a line for each that differs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgru_cases.h"

static double apply(const cgru_case *c, int which, double a)
{
    double alpha = c->alpha[which], beta = c->beta[which];
    switch (c->activation[which]) {
    case CGRU_CASE_SIGMOID: return 1 / (1 + exp(-a));
    case CGRU_CASE_TANH: return tanh(a);
    case CGRU_CASE_HARD_SIGMOID: a = alpha * a + beta; return a < 0 ? 0 : a > 1 ? 1 : a;
    case CGRU_CASE_RELU: return a > 0 ? a : 0;
    case CGRU_CASE_SOFTSIGN: return a / (1 + fabs(a));
    case CGRU_CASE_LEAKY_RELU: return a >= 0 ? a : alpha * a;
    case CGRU_CASE_ELU: return a >= 0 ? a : alpha * (exp(a) - 1);
    case CGRU_CASE_SCALED_TANH: return alpha * tanh(beta * a);
    default: printf("%s: activation %d\n", c->name, c->activation[which]); exit(2);
    }
}

/* row `k` of W x + b */
static double of_x(const cgru_case *c, const float *x, int k)
{
    double sum = c->bias_ih[k];
    for (int i = 0; i < c->input_size; i++) sum += (double)c->weight_ih[k * c->input_size + i] * x[i];
    return sum;
}

/* row `k` of U h + c */
static double of_h(const cgru_case *c, const double *h, int k)
{
    double sum = c->bias_hh[k];
    for (int j = 0; j < c->hidden_size; j++) sum += (double)c->weight_hh[k * c->hidden_size + j] * h[j];
    return sum;
}

static void gru(const cgru_case *c, const float *x, double *h)
{
    int H = c->hidden_size;
    double r[128], rh[128], next[128];
    for (int j = 0; j < H; j++) r[j] = apply(c, 0, of_x(c, x, j) + of_h(c, h, j));
    for (int j = 0; j < H; j++) rh[j] = r[j] * h[j];
    for (int j = 0; j < H; j++) {
        double z = apply(c, 0, of_x(c, x, H + j) + of_h(c, h, H + j));
        double q = c->reset_after ? r[j] * of_h(c, h, 2 * H + j) : of_h(c, rh, 2 * H + j);
        double n = apply(c, 1, of_x(c, x, 2 * H + j) + q);
        next[j] = c->z_keeps ? z * h[j] + (1 - z) * n : (1 - z) * h[j] + z * n;
    }
    memcpy(h, next, H * sizeof *h);
}

static void rnn(const cgru_case *c, const float *x, double *h)
{
    double next[128];
    for (int j = 0; j < c->hidden_size; j++) next[j] = apply(c, 0, of_x(c, x, j) + of_h(c, h, j));
    memcpy(h, next, c->hidden_size * sizeof *h);
}

static void lstm(const cgru_case *c, const float *x, double *h, double *cell)
{
    int H = c->hidden_size;
    double next[128];
    for (int j = 0; j < H; j++) {
        double a[4];
        for (int k = 0; k < 4; k++) a[k] = apply(c, k == 2, of_x(c, x, k * H + j) + of_h(c, h, k * H + j));
        cell[j] = a[1] * cell[j] + a[0] * a[2];
        next[j] = a[3] * apply(c, 2, cell[j]);
    }
    memcpy(h, next, H * sizeof *h);
}

/* the largest difference; a NaN is one */
static double differs(double most, double a, double b)
{
    double d = fabs(a - b);
    return d <= most ? most : d;
}

static double check(const cgru_case *c)
{
    int I = c->input_size, H = c->hidden_size, N = c->rows;
    double most = 0;
    for (int row = 0; row < N; row++) {
        double h[128], cell[128];
        for (int j = 0; j < H; j++) {
            h[j] = c->h_0[row * H + j];
            cell[j] = c->c_0 ? c->c_0[row * H + j] : 0;
        }
        for (int t = 0; t < c->steps; t++) {
            int valid = !c->lengths || t < c->lengths[row];
            const float *x = c->x + (t * N + row) * I;
            if (valid && c->cell == 0) gru(c, x, h);
            if (valid && c->cell == 1) rnn(c, x, h);
            if (valid && c->cell == 2) lstm(c, x, h, cell);
            for (int j = 0; j < H; j++) most = differs(most, valid ? h[j] : 0, c->y[(t * N + row) * H + j]);
        }
        for (int j = 0; j < H; j++) {
            most = differs(most, h[j], c->h_n[row * H + j]);
            if (c->c_n) most = differs(most, cell[j], c->c_n[row * H + j]);
        }
    }
    return most;
}

int main(void)
{
    int wrong = 0;
    for (int k = 0; k < CGRU_CASES_COUNT; k++) {
        double most = check(&cgru_cases[k]);
        if (!(most <= 1e-12)) {
            printf("%s: %g\n", cgru_cases[k].name, most);
            wrong = 1;
        }
    }
    printf("%d cases\n", CGRU_CASES_COUNT);
    return wrong;
}
