/* Products of a matrix with a vector: sums = biases + W x.

   The columns of W's transpose stand in panels of at most 128. A panel has, one behind the other, `depth` rows of as
   many words of four bytes as it has columns: a word is one weight of float32, two of bfloat16 or four of int8. */

/*= product_float32: head */
/* One chain of fused multiply-adds for each column: its bias first, then x in its order. */
CGRU_INLINE void cgru_tile_float32(
    size_t K, size_t width, size_t stride, const float *CGRU_RESTRICT w, const float *CGRU_RESTRICT bias,
    const float *CGRU_RESTRICT x, float *CGRU_RESTRICT sums)
{
    float acc[CGRU_SUMS];
    size_t k, c;
    for (c = 0; c < width; c++)
        acc[c] = bias[c];
    for (k = 0; k < K; k++) {
        const float value = x[k];
        for (c = 0; c < width; c++)
            acc[c] = CGRU_FMA(value, w[k * stride + c], acc[c]);
    }
    for (c = 0; c < width; c++)
        sums[c] = acc[c];
}

CGRU_INLINE void cgru_panel_float32(
    size_t K, size_t width, const float *w, const float *bias, const float *x, float *sums)
{
    const size_t part = cgru_part(width, CGRU_SUMS), rest = width % part;
    size_t c;
    for (c = 0; c + part <= width; c += part)
        cgru_tile_float32(K, part, width, w + c, bias + c, x, sums + c);
    if (rest)
        cgru_tile_float32(K, rest, width, w + c, bias + c, x, sums + c);
}

CGRU_INLINE void cgru_product_float32(
    size_t K, size_t columns, const float *w, const float *bias, const float *x, float *sums)
{
    const size_t width = cgru_part(columns, 128), rest = columns % width;
    size_t c;
    for (c = 0; c + width <= columns; c += width)
        cgru_panel_float32(K, width, w + c * K, bias + c, x, sums + c);
    if (rest)
        cgru_panel_float32(K, rest, w + c * K, bias + c, x, sums + c);
}

/*= product_bfloat16: head */
/* A word holds the weights of an even k, below, and of the odd one behind it: the upper halves of float32 numbers. */
CGRU_INLINE void cgru_tile_bfloat16(
    size_t K, size_t width, size_t stride, const uint32_t *CGRU_RESTRICT w, const float *CGRU_RESTRICT bias,
    const float *CGRU_RESTRICT x, float *CGRU_RESTRICT sums)
{
    float acc[CGRU_SUMS];
    size_t d, c;
    for (c = 0; c < width; c++)
        acc[c] = bias[c];
    for (d = 0; d < K / 2; d++) {
        const float even = x[2 * d], odd = x[2 * d + 1];
        for (c = 0; c < width; c++)
            acc[c] = CGRU_FMA(even, cgru_as_float(w[d * stride + c] << 16), acc[c]);
        for (c = 0; c < width; c++)
            acc[c] = CGRU_FMA(odd, cgru_as_float(w[d * stride + c] & 0xFFFF0000u), acc[c]);
    }
    if (K % 2) {
        const float even = x[2 * d];
        for (c = 0; c < width; c++)
            acc[c] = CGRU_FMA(even, cgru_as_float(w[d * stride + c] << 16), acc[c]);
    }
    for (c = 0; c < width; c++)
        sums[c] = acc[c];
}

CGRU_INLINE void cgru_panel_bfloat16(
    size_t K, size_t width, const uint32_t *w, const float *bias, const float *x, float *sums)
{
    const size_t part = cgru_part(width, CGRU_SUMS), rest = width % part;
    size_t c;
    for (c = 0; c + part <= width; c += part)
        cgru_tile_bfloat16(K, part, width, w + c, bias + c, x, sums + c);
    if (rest)
        cgru_tile_bfloat16(K, rest, width, w + c, bias + c, x, sums + c);
}

CGRU_INLINE void cgru_product_bfloat16(
    size_t K, size_t columns, const uint32_t *w, const float *bias, const float *x, float *sums)
{
    const size_t width = cgru_part(columns, 128), depth = (K + 1) / 2, rest = columns % width;
    size_t c;
    for (c = 0; c + width <= columns; c += width)
        cgru_panel_bfloat16(K, width, w + c * depth, bias + c, x, sums + c);
    if (rest)
        cgru_panel_bfloat16(K, rest, w + c * depth, bias + c, x, sums + c);
}

/*= lanes: head */
/* Sums of int8 weights that stand in a vector. */
#if defined(__AVX512BW__)
#define CGRU_LANES 16
#elif defined(__AVX2__)
#define CGRU_LANES 8
#else
#define CGRU_LANES 4
#endif

/*= product_int8: lanes dot_int8 */
/* x as whole numbers from -127 to 127 and their scale, max |x| / 127: 0 of a row of zeros, NaN of one that has NaN or
   infinity. What stands behind x's last number is 0. `row` has whole words of four numbers. */
CGRU_INLINE float cgru_quantize(size_t K, const float *CGRU_RESTRICT x, unsigned char *CGRU_RESTRICT row)
{
    uint32_t greatest = 0;
    float m, factor;
    size_t k;
    for (k = 0; k < K; k++) {
        const uint32_t size = cgru_bits_of(x[k]) & 0x7FFFFFFFu;
        greatest = size > greatest ? size : greatest;
    }
    for (k = K; k < (K + 3) / 4 * 4; k++)
        row[k] = CGRU_SHIFT;
    if (greatest < 27u << 23 || greatest >= 0x7F800000u) {       /* below 2^-100; not finite */
        for (k = 0; k < K; k++)
            row[k] = CGRU_SHIFT;
        return greatest < 27u << 23 ? 0.0f : cgru_as_float(0x7FC00000u);
    }
    m = cgru_as_float(greatest);
    factor = 127.0f / m;
    for (k = 0; k < K; k++) {
        const float scaled = x[k] * factor;
        row[k] = (unsigned char)(cgru_bits_of(scaled + 12582912.0f) + CGRU_SHIFT);
    }
    return m / 127.0f;
}

/* Exact sums of products, then float(sum) (weights' scale * x's scale) + bias. */
CGRU_INLINE void cgru_tile_int8(
    size_t depth, size_t width, size_t stride, const signed char *w, const int32_t *start, const float *scale,
    const float *bias, const unsigned char *row, float row_scale, float *CGRU_RESTRICT sums)
{
    cgru_ints acc[CGRU_SUMS / CGRU_LANES];
    int32_t whole[CGRU_SUMS];
    size_t d, v, c;
    for (v = 0; v < width / CGRU_LANES; v++)
        acc[v] = CGRU_SHIFT ? cgru_load(start + v * CGRU_LANES) : cgru_all(0);
    for (d = 0; d < depth; d++) {
        cgru_ints a;
        int32_t word;
        CGRU_COPY(&word, row + 4 * d, 4);
        a = cgru_all(word);
        for (v = 0; v < width / CGRU_LANES; v++)
            acc[v] = cgru_dot(acc[v], cgru_load(w + 4 * (d * stride + v * CGRU_LANES)), a);
    }
    for (v = 0; v < width / CGRU_LANES; v++)
        cgru_store(whole + v * CGRU_LANES, acc[v]);
    for (c = 0; c < width; c++) {
        const float both = scale[c] * row_scale, product = (float)whole[c] * both;
        sums[c] = product + bias[c];
    }
}

CGRU_INLINE void cgru_panel_int8(
    size_t depth, size_t width, const signed char *w, const int32_t *start, const float *scale, const float *bias,
    const unsigned char *row, float row_scale, float *sums)
{
    const size_t part = cgru_part(width, CGRU_SUMS), rest = width % part;
    size_t c;
    for (c = 0; c + part <= width; c += part)
        cgru_tile_int8(depth, part, width, w + 4 * c, start + c, scale + c, bias + c, row, row_scale, sums + c);
    if (rest)
        cgru_tile_int8(depth, rest, width, w + 4 * c, start + c, scale + c, bias + c, row, row_scale, sums + c);
}

CGRU_INLINE void cgru_product_int8(
    size_t K, size_t columns, const signed char *w, const int32_t *start, const float *scale, const float *bias,
    const float *x, unsigned char *row, float *sums)
{
    const size_t width = cgru_part(columns, 128), depth = (K + 3) / 4, rest = columns % width;
    const float row_scale = cgru_quantize(K, x, row);
    size_t c;
    for (c = 0; c + width <= columns; c += width)
        cgru_panel_int8(
            depth, width, w + 4 * c * depth, start + c, scale + c, bias + c, row, row_scale, sums + c);
    if (rest)
        cgru_panel_int8(
            depth, rest, w + 4 * c * depth, start + c, scale + c, bias + c, row, row_scale, sums + c);
}
