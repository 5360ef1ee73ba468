/* What cgru_dot_wide (dot_int8.h) wants of a row of activations, where there is such a function. */

#ifndef CGRU_WIDEN_INT8_H
#define CGRU_WIDEN_INT8_H

#include "dot_int8.h"

#if CGRU_WIDE
/* Groups of four activations as numbers of 16 bits: those of the even columns, then those of the odd ones. Both arrays
   go on to a multiple of 16 bytes. */
static void cgru_widen(const char *bytes, char *wide, Py_ssize_t depth)
{
    const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
    for (Py_ssize_t d = 0; d < depth; d += 4) {
        __m128i groups = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(bytes + 4 * d)), order);
        _mm256_storeu_si256((__m256i *)(wide + 8 * d), _mm256_cvtepi8_epi16(groups));
    }
}
#endif

#endif
