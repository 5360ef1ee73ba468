/* The pass over a layer's sums: a = b + W x and, of a recurrent one, b = c + U h, gate by gate, H of each. */

/*= gru: */
/* r = f(a_r + b_r), z = f(a_z + b_z), n = g(a_n + r b_n), h = n + z (h - n) */
CGRU_INLINE void LAYER_gates(
    const float *CGRU_RESTRICT a, const float *CGRU_RESTRICT b, float *CGRU_RESTRICT h, const float *k)
{
    size_t j;
    for (j = 0; j < SIZE; j++) {
        const float r = LAYER_f(a[j] + b[j], k), z = LAYER_f(a[SIZE + j] + b[SIZE + j], k);
        const float n = LAYER_g(CGRU_FMA(r, b[2 * SIZE + j], a[2 * SIZE + j]), k);
        h[j] = CGRU_FMA(z, h[j] - n, n);
    }
}

/*= gru_before: */
/* r = f(a_r + b_r), q = r h */
CGRU_INLINE void LAYER_reset(
    const float *CGRU_RESTRICT a, const float *CGRU_RESTRICT b, const float *CGRU_RESTRICT h, float *CGRU_RESTRICT q,
    const float *k)
{
    size_t j;
    for (j = 0; j < SIZE; j++)
        q[j] = LAYER_f(a[j] + b[j], k) * h[j];
}

/* z = f(a_z + b_z), n = g(a_n + U_n q + c_n), h = n + z (h - n) */
CGRU_INLINE void LAYER_gates(
    const float *CGRU_RESTRICT a, const float *CGRU_RESTRICT b, const float *CGRU_RESTRICT b_n, float *CGRU_RESTRICT h,
    const float *k)
{
    size_t j;
    for (j = 0; j < SIZE; j++) {
        const float z = LAYER_f(a[SIZE + j] + b[SIZE + j], k), n = LAYER_g(a[2 * SIZE + j] + b_n[j], k);
        h[j] = CGRU_FMA(z, h[j] - n, n);
    }
}

/*= rnn: */
/* h = g(a + b) */
CGRU_INLINE void LAYER_gates(
    const float *CGRU_RESTRICT a, const float *CGRU_RESTRICT b, float *CGRU_RESTRICT h, const float *k)
{
    size_t j;
    for (j = 0; j < SIZE; j++)
        h[j] = LAYER_g(a[j] + b[j], k);
}

/*= lstm: */
/* i, f, o = f(a + b), g = g(a_g + b_g), c = f c + i g, h = o h(c) */
CGRU_INLINE void LAYER_gates(
    const float *CGRU_RESTRICT a, const float *CGRU_RESTRICT b, float *CGRU_RESTRICT h, float *CGRU_RESTRICT c,
    const float *k)
{
    size_t j;
    for (j = 0; j < SIZE; j++) {
        const float i = LAYER_f(a[j] + b[j], k), f = LAYER_f(a[SIZE + j] + b[SIZE + j], k);
        const float g = LAYER_g(a[2 * SIZE + j] + b[2 * SIZE + j], k);
        const float o = LAYER_f(a[3 * SIZE + j] + b[3 * SIZE + j], k);
        const float both = i * g, cell = CGRU_FMA(f, c[j], both);
        c[j] = cell;
        h[j] = o * LAYER_h(cell, k);
    }
}
