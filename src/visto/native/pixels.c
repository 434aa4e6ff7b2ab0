/* Loops over uint8 images N×H×W×C, the numbers of a pixel together, that make no intermediate image.

The arithmetic of a resize is torch's for uint8, bit for bit: along each axis two pixels are blended by shares that are
whole numbers of 14 or 15 bits, first across and rounded to uint8, then down and rounded again. Along no axis 2^14 pixels or
more are made: there a share may lie halfway between two such numbers. Build with -ffp-contract=off: torch rounds the product
before it subtracts. */

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSSE3__)
#include <tmmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { GROUP = 8, REACH = 2 * GROUP }; /* numbers of a line that are made at once, and the bytes that they are made from */
enum { MOST_THREADS = 64, PIECE_ROWS = 128 };

/* What several threads do together: each takes the next of `n` pieces until there is none. */
typedef struct Job {
    void (*work)(struct Job *);
    int64_t n, next;
} Job;

static int64_t take_piece(Job *job) {
    return __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED);
}

static void *help(void *job) {
    ((Job *)job)->work(job);
    return NULL;
}

/* Gives 1 where pieces are left, since none of the threads had the memory. A thread that cannot be had is done without. */
static int work_together(Job *job, int32_t threads) {
    pthread_t others[MOST_THREADS];
    int32_t started = 0;
    if (threads > job->n) threads = (int32_t)job->n;
    while (started + 1 < threads && started < MOST_THREADS && !pthread_create(&others[started], NULL, help, job)) started++;
    job->work(job);
    while (started) pthread_join(others[--started], NULL);
    return job->next < job->n;
}

/* Which two pixels of an axis make one, and the share of the second. */
typedef struct {
    int32_t first, second;
    int16_t share;
} Pair;

/* Pairs that bring `from` pixels to `to`; gives how many bits less than 15 the shares have. */
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
        shares[i] = second_share;
        most = fmax(most, fmax(first_share, second_share));
    }
    int shift = 0.5 + most * (1 << 15) < 1 << 15 ? 0 : 1;
    for (int32_t i = 0; i < to; i++) pairs[i].share = (int16_t)(0.5 + shares[i] * (1 << (15 - shift)));
    return shift;
}

/* Where GROUP numbers of a line come from: the first byte of each and the second one, in turns, from the byte `begin` of a
row; and the shares of the second ones. */
typedef struct {
    int32_t begin;
    uint8_t order[REACH];
    int16_t shares[GROUP];
} Source;

/* Sources of `wide` pairs in rows of `width` pixels that are taken from `left`, and are mirrored or not; those of the last
group may go beyond the line. No row is made shorter, so what a group needs lies within REACH bytes. */
static void find_sources(Source *sources, const Pair *pairs, int32_t wide, int32_t width, int32_t channels, int32_t left,
                         int mirrored) {
    int32_t line = wide * channels;
    for (int32_t begin = 0; begin < line; begin += GROUP, sources++) {
        int32_t bytes[REACH], least = width * channels;
        for (int32_t k = 0; k < REACH; k++) {
            int32_t at = begin + k / 2 < line ? begin + k / 2 : line - 1;
            const Pair *pair = &pairs[at / channels];
            int32_t pixel = left + (k % 2 ? pair->second : pair->first);
            bytes[k] = (mirrored ? width - 1 - pixel : pixel) * channels + at % channels;
            if (bytes[k] < least) least = bytes[k];
            sources->shares[k / 2] = pair->share;
        }
        sources->begin = least;
        for (int32_t k = 0; k < REACH; k++) sources->order[k] = (uint8_t)(bytes[k] - least);
    }
}

/* Two numbers blended: first + (second - first) * share, rounded. It is torch's sum of two products, since the shares of a
pair make one. A share has 15 bits less `shift`. */
static inline uint8_t blended(int32_t first, int32_t second, int32_t share, int shift) {
    return (uint8_t)(first + (((second - first) * (1 << shift) * share + (1 << 14)) >> 15));
}

#if defined(__SSSE3__)
/* Eight at once, of the first ones and of what the second ones are more. */
static inline __m128i blended_words(__m128i first, __m128i difference, __m128i shares, int shift) {
    return _mm_add_epi16(first, _mm_mulhrs_epi16(_mm_slli_epi16(difference, shift), shares));
}
#endif

/* A line of so many groups from the pixels of a row: REACH bytes are read from where each begins. */
static void blend_across(const uint8_t *restrict row, const Source *restrict sources, uint8_t *restrict out,
                         int32_t groups, int shift) {
    for (int32_t g = 0; g < groups; g++, sources++, out += GROUP) {
        const uint8_t *from = row + sources->begin, *order = sources->order;
#if defined(__SSSE3__)
        __m128i pairs = _mm_loadu_si128((const __m128i *)from);
        pairs = _mm_shuffle_epi8(pairs, _mm_loadu_si128((const __m128i *)order));
        __m128i first = _mm_and_si128(pairs, _mm_set1_epi16(0xff));
        __m128i difference = _mm_maddubs_epi16(pairs, _mm_set1_epi16(0x01ff)); /* the second times 1 and the first times -1 */
        first = blended_words(first, difference, _mm_loadu_si128((const __m128i *)sources->shares), shift);
        _mm_storel_epi64((__m128i *)out, _mm_packus_epi16(first, first));
#elif defined(__aarch64__)
        uint16x8_t pairs = vreinterpretq_u16_u8(vqtbl1q_u8(vld1q_u8(from), vld1q_u8(order)));
        int16x8_t first = vreinterpretq_s16_u16(vandq_u16(pairs, vdupq_n_u16(0xff)));
        int16x8_t difference = vsubq_s16(vreinterpretq_s16_u16(vshrq_n_u16(pairs, 8)), first);
        difference = vshlq_s16(difference, vdupq_n_s16((int16_t)shift));
        first = vaddq_s16(first, vqrdmulhq_s16(difference, vld1q_s16(sources->shares)));
        vst1_u8(out, vqmovun_s16(first));
#else
        for (int32_t k = 0; k < GROUP; k++)
            out[k] = blended(from[order[2 * k]], from[order[2 * k + 1]], sources->shares[k], shift);
#endif
    }
}

static void blend_down(const uint8_t *restrict first, const uint8_t *restrict second, uint8_t *restrict out, int32_t n,
                       int16_t share, int shift) {
    int32_t i = 0;
#if defined(__SSSE3__)
    __m128i none = _mm_setzero_si128(), shares = _mm_set1_epi16(share);
    for (; i + 16 <= n; i += 16) {
        __m128i one = _mm_loadu_si128((const __m128i *)(first + i)), other = _mm_loadu_si128((const __m128i *)(second + i));
        __m128i low = _mm_unpacklo_epi8(one, none), high = _mm_unpackhi_epi8(one, none);
        low = blended_words(low, _mm_sub_epi16(_mm_unpacklo_epi8(other, none), low), shares, shift);
        high = blended_words(high, _mm_sub_epi16(_mm_unpackhi_epi8(other, none), high), shares, shift);
        _mm_storeu_si128((__m128i *)(out + i), _mm_packus_epi16(low, high));
    }
#endif
#pragma omp simd
    for (int32_t k = i; k < n; k++) out[k] = blended(first[k], second[k], share, shift);
}

/* What lines of so many pixels are made with. */
typedef struct {
    double *shares;
    Pair *across, *down;
    Source *sources;
    uint8_t *lines[2], *late_row;
} Tools;

static void put_away(Tools *tools) {
    free(tools->shares);
    free(tools->across);
    free(tools->sources);
    free(tools->lines[0]);
    free(tools->lines[1]);
    free(tools->late_row);
}

/* For images of at most `width` pixels a row; gives 1 where there is no memory. */
static int take_out(Tools *tools, int32_t width, int32_t tall, int32_t wide, int32_t channels) {
    int32_t groups = (wide * channels + GROUP - 1) / GROUP, longest = tall > wide ? tall : wide;
    Tools made = {malloc(longest * sizeof(double)), malloc((tall + wide) * sizeof(Pair)), NULL, malloc(groups * sizeof(Source)),
                  {malloc(groups * GROUP), malloc(groups * GROUP)}, malloc((int64_t)width * channels + REACH)};
    made.down = made.across + wide;
    *tools = made;
    return !made.shares || !made.across || !made.sources || !made.lines[0] || !made.lines[1] || !made.late_row;
}

/* Bring a box (top, bottom, left, right) of an image to `tall` rows of `wide` pixels; it has no more. */
static void enlarge(const Tools *tools, const uint8_t *image, int32_t height, int32_t width, int32_t channels, const int32_t *box,
                    int mirrored, uint8_t *out, int32_t tall, int32_t wide) {
    int64_t row_bytes = (int64_t)width * channels, image_bytes = height * row_bytes, line = (int64_t)wide * channels;
    int32_t groups = (int32_t)((line + GROUP - 1) / GROUP), top = box[0], left = box[2];
    Pair *down = tools->down;
    int across_shift = find_pairs(tools->across, tools->shares, box[3] - left, wide);
    int down_shift = find_pairs(down, tools->shares, box[1] - top, tall);
    find_sources(tools->sources, tools->across, wide, width, channels, left, mirrored);
    int32_t held[2] = {-1, -1}; /* which rows the lines are made of: of two neighbours one is even */
    for (int32_t y = 0; y < tall; y++) {
        int32_t wanted[2] = {down[y].first, down[y].second};
        for (int k = 0; k < 2; k++) {
            int32_t row = wanted[k];
            if (held[row & 1] == row) continue;
            const uint8_t *from = image + (top + row) * row_bytes;
            if (from + row_bytes + REACH > image + image_bytes) from = memcpy(tools->late_row, from, row_bytes);
            blend_across(from, tools->sources, tools->lines[row & 1], groups, across_shift);
            held[row & 1] = row;
        }
        blend_down(tools->lines[wanted[0] & 1], tools->lines[wanted[1] & 1], out + y * line, (int32_t)line, down[y].share,
                   down_shift);
    }
}

/* Images that are brought to `tall` rows of `wide` pixels, all of them into `out`. */
typedef struct {
    Job job;
    const uint8_t *records;
    int64_t record_bytes;
    const int64_t *places;
    const int32_t *sizes, *boxes;
    const uint8_t *mirrored;
    uint8_t *out;
    int32_t tall, wide, channels;
} Zoom;

static void zoom(Job *job) {
    const Zoom *z = (const Zoom *)job;
    int64_t out_bytes = (int64_t)z->tall * z->wide * z->channels;
    int32_t widest = 0;
    for (int64_t i = 0; i < job->n; i++) widest = z->sizes[2 * i + 1] > widest ? z->sizes[2 * i + 1] : widest;
    Tools tools;
    if (!take_out(&tools, widest, z->tall, z->wide, z->channels))
        for (int64_t i; (i = take_piece(job)) < job->n;) {
            const uint8_t *image = z->records + z->places[i] * z->record_bytes;
            int32_t height = z->sizes[2 * i], width = z->sizes[2 * i + 1], all[4] = {0, height, 0, width};
            const int32_t *box = z->boxes ? z->boxes + 4 * i : all;
            int mirrored = z->mirrored && z->mirrored[i];
            if (box == all && !mirrored && height == z->tall && width == z->wide)
                memcpy(z->out + i * out_bytes, image, out_bytes);
            else
                enlarge(&tools, image, height, width, z->channels, box, mirrored, z->out + i * out_bytes, z->tall, z->wide);
        }
    put_away(&tools);
}

/* Bring a box of each of n images to `tall` rows of `wide` pixels; no box has more.

They lie at `places` among records of so many bytes, and have as many rows and pixels a row as `sizes` (n×2) say. `channels`
is 1 or 3. `boxes` (n×4; NULL: the whole of each) are top, bottom, left and right in whole pixels within the image, the ends
excluded; where `mirrored` (n, or NULL) is not 0, they are those of the image mirrored left and right. Gives 0, or 1 where
there is no memory. */
int visto_zoom(const uint8_t *records, int64_t record_bytes, const int64_t *places, const int32_t *sizes, const int32_t *boxes,
               const uint8_t *mirrored, uint8_t *out, int32_t tall, int32_t wide, int32_t channels, int64_t n, int32_t threads) {
    Zoom all = {{zoom, n, 0}, records, record_bytes, places, sizes, boxes, mirrored, out, tall, wide, channels};
    return work_together(&all.job, threads);
}

/* `rows` rows of so many numbers, some of them a piece. */
typedef struct {
    Job job;
    const uint8_t *pixels;
    float *out;
    int64_t rows, numbers;
    const float *mean, *std;
} Normalise;

static void normalise(Job *job) {
    const Normalise *all = (const Normalise *)job;
    int64_t numbers = all->numbers;
    for (int64_t piece; (piece = take_piece(job)) < job->n;)
        for (int64_t row = piece * PIECE_ROWS; row < (piece + 1) * PIECE_ROWS && row < all->rows; row++) {
            const uint8_t *restrict pixels = all->pixels + row * numbers;
            const float *restrict mean = all->mean, *restrict std = all->std;
            float *restrict out = all->out + row * numbers;
#pragma omp simd
            for (int64_t k = 0; k < numbers; k++) out[k] = ((float)pixels[k] - mean[k]) / std[k];
        }
}

/* (pixel - mean) / std of `rows` rows of so many numbers; `mean` and `std` have one for each number of a row. */
void visto_normalise(const uint8_t *pixels, float *out, int64_t rows, int64_t numbers, const float *mean, const float *std,
                     int32_t threads) {
    Normalise all = {{normalise, (rows + PIECE_ROWS - 1) / PIECE_ROWS, 0}, pixels, out, rows, numbers, mean, std};
    work_together(&all.job, threads);
}
