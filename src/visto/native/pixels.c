/* Loops over uint8 images N×H×W×C, the numbers of a pixel together, that make no intermediate image.

The arithmetic of a resize is torch's for uint8, bit for bit: along each axis two pixels are blended by shares that are
whole numbers of 14 or 15 bits, first across and rounded to uint8, then down and rounded again. Build with
-ffp-contract=off: torch rounds the product before it subtracts. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSSE3__)
#include <tmmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { REACH = 16, GROUP = 12 }; /* bytes that one shuffle reads, and those of its result that are used: 4 pixels or 12 */

/* Which two pixels of an axis make one, and the share of each. */
typedef struct {
    int32_t first, second, first_share, second_share;
} Pair;

/* Pairs that bring `from` pixels to `to`; gives how many bits the shares have. */
static int find_pairs(Pair *pairs, double *shares, int32_t from, int32_t to) {
    double scale = (double)from / to, most = 0;
    for (int32_t i = 0; i < to; i++) {
        double place = scale * (i + 0.5) - 0.5;
        int32_t first = (int32_t)floor(place), second = first + 1;
        double second_share = 1 - (1 - (place - first)), first_share = 1 - (place - first);
        if (first < 0 || second >= from) {
            first = second = first < 0 ? 0 : from - 1;
            first_share += second_share;
            second_share = 0;
        }
        pairs[i].first = first;
        pairs[i].second = second;
        shares[2 * i] = first_share;
        shares[2 * i + 1] = second_share;
        most = fmax(most, fmax(first_share, second_share));
    }
    int bits = 0;
    while (bits < 22 && (int)(0.5 + most * (1 << (bits + 1))) < 1 << 15) bits++;
    for (int32_t i = 0; i < to; i++) {
        pairs[i].first_share = (int32_t)(0.5 + shares[2 * i] * (1 << bits));
        pairs[i].second_share = (int32_t)(0.5 + shares[2 * i + 1] * (1 << bits));
    }
    return bits;
}

/* Where GROUP bytes of a line come from: those at `order` from the byte `begin` of a row. */
typedef struct {
    int32_t begin;
    uint8_t order[REACH];
} Source;

/* Sources of the first pixels of the pairs, or of the second ones, in rows that begin at `left` and are mirrored or not;
those of the last group may go beyond the line. No row is made shorter, so what a group needs lies within REACH bytes. */
static void find_sources(Source *sources, const Pair *pairs, int second, int32_t width, int32_t channels, int32_t left,
                         int mirrored) {
    int32_t line = width * channels;
    for (int32_t begin = 0; begin < line; begin += GROUP, sources++) {
        int32_t bytes[GROUP], least = line;
        for (int32_t k = 0; k < GROUP; k++) {
            int32_t at = begin + k < line ? begin + k : line - 1;
            const Pair *pair = &pairs[at / channels];
            int32_t pixel = left + (second ? pair->second : pair->first);
            bytes[k] = (mirrored ? width - 1 - pixel : pixel) * channels + at % channels;
            if (bytes[k] < least) least = bytes[k];
        }
        sources->begin = least;
        memset(sources->order, 0, REACH);
        for (int32_t k = 0; k < GROUP; k++) sources->order[k] = (uint8_t)(bytes[k] - least);
    }
}

/* Pick the bytes of a line from a row; up to REACH bytes behind both may be read and written. */
static void pick(const uint8_t *restrict row, const Source *restrict sources, uint8_t *restrict out, int32_t groups) {
    for (int32_t g = 0; g < groups; g++) {
        const uint8_t *from = row + sources[g].begin, *order = sources[g].order;
        uint8_t *to = out + GROUP * g;
#if defined(__SSSE3__)
        __m128i bytes = _mm_loadu_si128((const __m128i *)from);
        _mm_storeu_si128((__m128i *)to, _mm_shuffle_epi8(bytes, _mm_loadu_si128((const __m128i *)order)));
#elif defined(__aarch64__)
        vst1q_u8(to, vqtbl1q_u8(vld1q_u8(from), vld1q_u8(order)));
#else
        for (int32_t k = 0; k < GROUP; k++) to[k] = from[order[k]];
#endif
    }
}

static void blend_across(const uint8_t *restrict first, const uint8_t *restrict second, uint8_t *restrict out,
                         int32_t n, const int32_t *restrict first_shares, const int32_t *restrict second_shares,
                         int bits) {
    int32_t half = 1 << (bits - 1);
    for (int32_t i = 0; i < n; i++)
        out[i] = (uint8_t)((first[i] * first_shares[i] + second[i] * second_shares[i] + half) >> bits);
}

static void blend_down(const uint8_t *restrict first, const uint8_t *restrict second, uint8_t *restrict out, int32_t n,
                       int32_t first_share, int32_t second_share, int bits) {
    int32_t half = 1 << (bits - 1);
    for (int32_t i = 0; i < n; i++)
        out[i] = (uint8_t)((first[i] * first_share + second[i] * second_share + half) >> bits);
}

/* Bring a box of every `step`th image, from the one at `start`, to the size of the image.

`channels` is 1 or 3. `boxes` (n×4) are top, bottom, left and right in whole pixels within the image, the ends excluded;
where `mirrored` (n) is not 0, they are those of the image mirrored left and right. Gives 0, or 1 where there is no memory. */
int visto_zoom(const uint8_t *images, uint8_t *out, int32_t height, int32_t width, int32_t channels,
               const int32_t *boxes, const uint8_t *mirrored, int64_t n, int64_t start, int64_t step) {
    int64_t line = (int64_t)width * channels, image_bytes = height * line, padded = line + GROUP + REACH;
    int64_t longest = height > width ? height : width;
    double *shares = malloc(2 * longest * sizeof(double));
    Pair *across = malloc((height + width) * sizeof(Pair)), *down = across + width;
    int32_t *first_shares = malloc(2 * line * sizeof(int32_t)), *second_shares = first_shares + line;
    int32_t groups = (int32_t)((line + GROUP - 1) / GROUP);
    Source *first = malloc(2 * groups * sizeof(Source)), *second = first + groups;
    uint8_t *firsts = malloc(5 * padded), *seconds = firsts + padded, *late_row = seconds + padded;
    uint8_t *lines[2] = {late_row + padded, late_row + 2 * padded};
    int failed = !shares || !across || !first_shares || !first || !firsts;

    for (int64_t i = start; i < n && !failed; i += step) {
        const uint8_t *image = images + i * image_bytes;
        int32_t top = boxes[4 * i], bottom = boxes[4 * i + 1], left = boxes[4 * i + 2], right = boxes[4 * i + 3];
        int across_bits = find_pairs(across, shares, right - left, width);
        int down_bits = find_pairs(down, shares, bottom - top, height);
        find_sources(first, across, 0, width, channels, left, mirrored[i]);
        find_sources(second, across, 1, width, channels, left, mirrored[i]);
        for (int32_t x = 0; x < width; x++) {
            for (int32_t c = 0; c < channels; c++) {
                first_shares[x * channels + c] = across[x].first_share;
                second_shares[x * channels + c] = across[x].second_share;
            }
        }
        int32_t held[2] = {-1, -1}; /* which rows the lines are made of: of two neighbours one is even */
        for (int32_t y = 0; y < height; y++) {
            Pair pair = down[y];
            int32_t wanted[2] = {pair.first, pair.second};
            for (int k = 0; k < 2; k++) {
                int32_t row = wanted[k];
                if (held[row & 1] == row) continue;
                const uint8_t *from = image + (top + row) * line;
                if (from + line + REACH > image + image_bytes) from = memcpy(late_row, from, line);
                pick(from, first, firsts, groups);
                pick(from, second, seconds, groups);
                blend_across(firsts, seconds, lines[row & 1], (int32_t)line, first_shares, second_shares, across_bits);
                held[row & 1] = row;
            }
            blend_down(lines[pair.first & 1], lines[pair.second & 1], out + i * image_bytes + y * line, (int32_t)line,
                       pair.first_share, pair.second_share, down_bits);
        }
    }
    free(shares);
    free(across);
    free(first_shares);
    free(first);
    free(firsts);
    return failed;
}

/* (pixel - mean) / std of `rows` rows of so many numbers; `mean` and `std` have one for each number of a row. */
void visto_normalise(const uint8_t *restrict pixels, float *restrict out, int64_t rows, int64_t numbers,
                     const float *restrict mean, const float *restrict std) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = row * numbers, k = 0; k < numbers; i++, k++) out[i] = ((float)pixels[i] - mean[k]) / std[k];
}
