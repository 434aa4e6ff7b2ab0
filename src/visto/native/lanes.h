/* Sixteen floats, and 32 channels of bf16 read as the even and the odd ones: one operation for each. */

#include <immintrin.h>
#include <stdint.h>

typedef uint16_t bf16;
typedef __m512 V; /* 16 floats */

enum { LANES = 32 /* channels read at once */ };

typedef struct {
    V even, odd;
} Both;

static inline Both taken_apart(__m512i channels) {
    Both both = {(V)_mm512_slli_epi32(channels, 16),
                 (V)_mm512_and_si512(channels, _mm512_set1_epi32((int)0xffff0000))};
    return both;
}

/* bf16 of both, lane by lane: the first in the lower half of each 32 bits, the second in the upper one. */
static inline __m512i pairs(V first, V second) {
    __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
                                     19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(second, first));
}
