/* The emulated multiply-add of an exported model against the C library's, on numbers that meet at all distances: ties,
   numbers below the normal ones, overflow, infinities and NaN. Exit status 0 where every result has the same bits. */
#include "net.c"

#include <math.h>
#include <stdio.h>

static uint64_t seed = 20080815u;

static uint32_t random_bits(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

/* A number of this exponent with few bits set, so that sums often end half way between two floats. */
static float number(uint32_t exponent)
{
    uint32_t mantissa = random_bits() & 0x7FFFFFu;
    if (random_bits() & 1u)
        mantissa &= random_bits() & random_bits();
    if ((random_bits() & 7u) == 0)
        mantissa = 0;
    return net_as_float((random_bits() & 0x80000000u) | exponent << 23 | mantissa);
}

/* Numbers whose product is half a unit in the last place of c, or less or more by so little that double loses it. */
static void around_a_tie(float *a, float *b, float *c)
{
    const uint32_t exponent = random_bits() % 150u, sum = (exponent ? exponent : 1u) + 103u;
    const uint32_t first = 1u + random_bits() % (sum - 1u), k = 1u + random_bits() % 3u;
    *c = number(exponent);
    *a = net_as_float((random_bits() & 0x80000000u) | (first < 254u ? first : 254u) << 23 | k);
    *b = net_as_float((sum - (first < 254u ? first : 254u)) << 23) * (1.0f - (float)(k - random_bits() % 2u) * 1.1920929e-7f);
}

/* Numbers of any exponents, the sum's two parts not too far from each other. */
static void anywhere(float *a, float *b, float *c)
{
    const uint32_t first = random_bits() % 256u, second = random_bits() % 256u;
    const int32_t near_to = (int32_t)(first + second) - 127 + (int32_t)(random_bits() % 64u) - 32;
    *a = number(first);
    *b = number(second);
    *c = number(near_to < 0 ? 0 : near_to > 255 ? 255 : (uint32_t)near_to);
}

int main(void)
{
    long i, hard = 0;
    for (i = 0; i < 4000000; i++) {
        float a, b, c, found, wanted, twice;
        (i % 2 ? anywhere : around_a_tie)(&a, &b, &c);
        found = NET_FMA(a, b, c);
        wanted = fmaf(a, b, c);
        twice = (float)((double)a * b + c);
        if (!(found != found && wanted != wanted) && net_bits_of(found) != net_bits_of(wanted)) {
            printf("%.9g * %.9g + %.9g: %.9g, expected %.9g\n", a, b, c, found, wanted);
            return 1;
        }
        hard += twice == twice && net_bits_of(twice) != net_bits_of(wanted);
    }
    printf("%ld of them a sum in double gets wrong\n", hard);
    return hard < 10000;
}
