/*= constants: head */
static const float cgru_constants[14] = {
    1.44269504088896341f, 12582912.0f, -0.693359375f, 2.12194440054690583e-4f, 1.0f, 2.0f, -89.0f, 88.0f, 20.0f,
    0.0013926213141530752f, 0.008363203145563602f, 0.041666556149721146f, 0.16666576266288757f, 0.5f};

/* Read as from a device, once for each step: the compiler then keeps them in registers. */
CGRU_INLINE void cgru_load_constants(float *k)
{
    const volatile float *from = cgru_constants;        /* a volatile array would be in writable memory */
    int i;
    for (i = 0; i < 14; i++)
        k[i] = from[i];
}

/* p and scale = 2^n with e^x = scale (1 + p): n = round(x / ln 2), and a polynomial of x - n ln 2. */
CGRU_INLINE float cgru_exp_parts(float x, float *scale, const float *k)
{
    const float t = CGRU_FMA(x, k[0], k[1]), n = t - k[1];
    float r = CGRU_FMA(n, k[2], x), q;
    r = CGRU_FMA(n, k[3], r);
    q = CGRU_FMA(k[9], r, k[10]);
    q = CGRU_FMA(q, r, k[11]);
    q = CGRU_FMA(q, r, k[12]);
    q = CGRU_FMA(q, r, k[13]);
    *scale = cgru_as_float((cgru_bits_of(t) + 127u) << 23);
    return CGRU_FMA(r * r, q, r);
}

/*= magnitude: head */
CGRU_INLINE float cgru_magnitude(float x)
{
    return cgru_as_float(cgru_bits_of(x) & 0x7FFFFFFFu);
}

/* The clamps below are minima and maxima in the form that processors have: of a NaN and a bound they leave the NaN. */

/*= sigmoid: constants */
/* 1 / (1 + e^-x) */
CGRU_INLINE float cgru_sigmoid(float x, const float *k)
{
    const float low = k[6], high = k[7];
    float p, scale;
    x = high < x ? high : x;
    x = x < low ? low : x;
    p = cgru_exp_parts(-x, &scale, k);
    return k[4] / CGRU_FMA(scale, k[4] + p, k[4]);
}

/*= tanh: constants magnitude */
/* E / (E + 2) with E = e^2|x| - 1, and the sign of x */
CGRU_INLINE float cgru_tanh(float x, const float *k)
{
    const float high = k[8];
    float y = k[5] * cgru_magnitude(x), p, scale, e;
    y = high < y ? high : y;
    p = cgru_exp_parts(y, &scale, k);
    e = CGRU_FMA(scale, p, scale - k[4]);
    e = e / (e + k[5]);
    return cgru_as_float((cgru_bits_of(e) & 0x7FFFFFFFu) | (cgru_bits_of(x) & 0x80000000u));
}

/*= hard_sigmoid: head */
/* alpha x + beta, from 0 to 1 */
CGRU_INLINE float cgru_hard_sigmoid(float x, float alpha, float beta)
{
    x = CGRU_FMA(alpha, x, beta);
    x = x < 0.0f ? 0.0f : x;
    return x > 1.0f ? 1.0f : x;
}

/*= relu: head */
CGRU_INLINE float cgru_relu(float x)
{
    return x < 0.0f ? 0.0f : x;
}

/*= linear: head */
CGRU_INLINE float cgru_linear(float x, float alpha, float beta)
{
    return CGRU_FMA(alpha, x, beta);
}

/*= softsign: magnitude */
/* x / (1 + |x|) */
CGRU_INLINE float cgru_softsign(float x)
{
    const float p = cgru_magnitude(x);
    if (p > 1e30f)
        return x > 0.0f ? 1.0f : -1.0f;
    return x / (1.0f + p);
}

/*= leaky_relu: head */
CGRU_INLINE float cgru_leaky_relu(float x, float alpha)
{
    return x < 0.0f ? alpha * x : x;
}

/*= elu: constants */
/* alpha (e^x - 1) below 0, else x */
CGRU_INLINE float cgru_elu(float x, float alpha, const float *k)
{
    float scale;
    const float p = cgru_exp_parts(x < -80.0f ? -80.0f : (x > 0.0f ? 0.0f : x), &scale, k);
    return x < 0.0f ? alpha * CGRU_FMA(scale, p, scale - 1.0f) : x;
}

/*= softplus: constants magnitude */
/* log(1 + e^x) = max(x, 0) + log((1 + s) / (1 - s)) with u = e^-|x| and s = u / (2 + u) */
CGRU_INLINE float cgru_softplus(float x, const float *k)
{
    const float high = k[7];
    float y = cgru_magnitude(x), p, scale, u, s, square, q;
    y = high < y ? high : y;
    p = cgru_exp_parts(-y, &scale, k);
    u = CGRU_FMA(scale, p, scale);
    s = u / (u + k[5]);
    square = s * s;
    q = CGRU_FMA(0.26851498022837152f, square, 0.28236619805310481f);
    q = CGRU_FMA(q, square, 0.40007560644911206f);
    q = CGRU_FMA(q, square, 0.6666664033669924f);
    return CGRU_FMA(s * square, q, k[5] * s) + (x < 0.0f ? 0.0f : x);
}

/*= scaled_tanh: tanh */
CGRU_INLINE float cgru_scaled_tanh(float x, float alpha, float beta, const float *k)
{
    return alpha * cgru_tanh(beta * x, k);
}

/*= silu: constants */
/* x / (1 + e^-x) */
CGRU_INLINE float cgru_silu(float x, const float *k)
{
    const float low = k[6], high = k[7];
    float y, p, scale;
    x = x < low ? low : x;
    y = high < x ? high : x;
    p = cgru_exp_parts(-y, &scale, k);
    return x / CGRU_FMA(scale, k[4] + p, k[4]);
}

/*= gelu: constants magnitude */
/* x Phi(x) = max(x, 0) - |x| Phi(-|x|), with Phi(-y) = e^(-y^2 / 2) q((y - 3.75) / (y + 3.75)) */
CGRU_INLINE float cgru_gelu(float x, const float *k)
{
    float y = cgru_magnitude(x), z, p, scale, s, q;
    z = 13.27f < y ? 13.27f : y;
    s = (z - 3.75f) / (z + 3.75f);
    q = CGRU_FMA(-0.0022619992960244417f, s, -0.006577970925718546f);
    q = CGRU_FMA(q, s, 0.024110881611704826f);
    q = CGRU_FMA(q, s, -0.0676598846912384f);
    q = CGRU_FMA(q, s, 0.1254016011953354f);
    q = CGRU_FMA(q, s, -0.17847277224063873f);
    q = CGRU_FMA(q, s, 0.10003890097141266f);
    p = cgru_exp_parts(-0.5f * z * z, &scale, k);
    q = CGRU_FMA(scale, p, scale) * q;
    y = 1e30f < y ? 1e30f : y;
    return CGRU_FMA(-y, q, x < 0.0f ? 0.0f : x);
}

/*= gelu_tanh: constants */
/* x / (1 + e^-v) with v = 2 sqrt(2 / pi) (x + 0.044715 x^3) */
CGRU_INLINE float cgru_gelu_tanh(float x, const float *k)
{
    const float low = k[6], high = k[7];
    float v, p, scale;
    x = x < -30.0f ? -30.0f : x;
    v = 30.0f < x ? 30.0f : x;
    v = v * CGRU_FMA(0.07135481627260025f * v, v, 1.5957691216057308f);
    v = high < v ? high : v;
    v = v < low ? low : v;
    p = cgru_exp_parts(-v, &scale, k);
    return x / CGRU_FMA(scale, k[4] + p, k[4]);
}

/*= softmax: constants */
/* e^(y_j - m) / sum_i e^(y_i - m) in place, m the largest. Sums are kept in 16 parts, number j in part j % 16. */
CGRU_INLINE void cgru_softmax(size_t count, float *y, const float *k)
{
    const float lowest = -cgru_as_float(0x7F800000u);
    float parts[16], most = lowest, total;
    size_t i, j;
    for (j = 0; j < count; j++)
        most = most < y[j] ? y[j] : most;
    for (j = 0; j < 16; j++)
        parts[j] = 0.0f;
    for (i = 0; i < count; i += 16) {
        for (j = 0; j < 16 && i + j < count; j++) {
            float x = y[i + j] - most, p, scale;
            x = x < -88.0f ? -88.0f : x;
            p = cgru_exp_parts(x, &scale, k);
            y[i + j] = CGRU_FMA(scale, p, scale);
            parts[j] += y[i + j];
        }
    }
    for (i = 8; i > 0; i /= 2)
        for (j = 0; j < i; j++)
            parts[j] += parts[j + i];
    total = parts[0];
    for (j = 0; j < count; j++)
        y[j] = y[j] / total;
}
