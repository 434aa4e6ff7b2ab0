/* 3×3 convolutions with a border of one pixel by Winograd's F(4×4, 3×3), in bf16 with sums in fp32, forward and back.

Four by four pixels of the result come from a window of six by six: 36 products for a pair of channels instead of 144
(Lavin and Gray 2016, arXiv 1509.09308). The points are 0, ±1/√2, ±√2 and infinity: with these, rounding the points to bf16
adds about 1 % of noise (2 % with the usual 0, ±1, ±2). Images are N×H×W×C. A result may be max-pooled 2×2 as it is made;
which of the four was the largest is kept as two bits.

Channels are read 32 at a time and taken apart into the sixteen even and the sixteen odd ones, which costs one operation each:
numbers at points lie in that order, and filters are packed to suit.

winograd_back.c has the gradient of filters, answers.c convolves in fp32. */

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__BMI2__)
#include "windows.h"

enum {
    BLOCK = 48, /* tiles a thread works on at once: what it needs should stay in its second cache */
    ROWS = 6    /* of them in one kernel */
};

KERNEL(multiply_64, ROWS, 4)
KERNEL(multiply_32, ROWS, 2)

/* Filters at points, packed: points × columns/64 (or 32) × pairs of inputs × 64 (or 32) × 2, of taps (9 × inputs × outputs). */
void visto_filters_to_points(const float *taps, bf16 *packed, int64_t inputs, int64_t outputs, int threads) {
    int64_t columns = columns_of(outputs), all = padded(inputs);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t place = 0; place < all; place += 2)
        for (int64_t j = 0; j < outputs; j += 16) {
            V points[2][POINTS];
            EACH(k, 2) {
                int64_t channel = channel_at(place + k);
                V nine[9], half[3 * SIDE];
                EACH(i, 9)
                    nine[i] = channel < inputs ? _mm512_loadu_ps(taps + (i * inputs + channel) * outputs + j) : _mm512_setzero_ps();
                EACH(i, 3) points_of_taps(nine + i, 3, half + i, 3);
                EACH(i, SIDE) points_of_taps(half + 3 * i, 1, points[k] + SIDE * i, 1);
            }
            for (int64_t p = 0; p < POINTS; p++)
                _mm512_storeu_si512(packed + (p * outputs + j / columns * columns) * all + place * columns + j % columns * 2,
                                    pairs(points[0][p], points[1][p]));
        }
}

static void block_to_points(bf16 *points, const Images *all, int64_t first, int64_t stride) {
    int64_t channels = padded(all->channels);
    for (int64_t t = 0; t < BLOCK && first + t < all->tiles; t++) {
        Window window;
        if (all->bits)
            find_window(&window, all, first + t, SIDE, 1, 1);
        else
            find_window(&window, all, first + t, SIDE, 1, 0);
        for (int64_t c = 0; c < channels; c += LANES) {
            V even[POINTS], odd[POINTS];
            __mmask32 there = channels_there(c, all->channels);
            if (all->bits) {
                window_to_points(even, &window, c, there, 0, 1);
                window_to_points(odd, &window, c, there, 1, 1);
            } else {
                window_to_points(even, &window, c, there, 0, 0);
                window_to_points(odd, &window, c, there, 1, 0);
            }
            EACH(p, POINTS)
                _mm512_storeu_si512(points + p * stride + t * channels + c, (__m512i)_mm512_cvtne2ps_pbh(odd[p], even[p]));
        }
    }
}

/* The largest of 2×2 pixels; in the masks, whether it is a right one and whether a lower one. */
static inline V pool(V a, V b, V c, V d, __mmask16 *right, __mmask16 *lower) {
    __mmask16 up = _mm512_cmp_ps_mask(b, a, _CMP_GT_OQ), down = _mm512_cmp_ps_mask(d, c, _CMP_GT_OQ);
    V upper = _mm512_max_ps(a, b), under = _mm512_max_ps(c, d);
    *lower = _mm512_cmp_ps_mask(under, upper, _CMP_GT_OQ);
    *right = (__mmask16)((up & ~*lower) | (down & *lower));
    return _mm512_max_ps(upper, under);
}

static void tile_to_images(bf16 *out, uint32_t *bits, const Images *all, int64_t tile, int64_t channel, const V *low,
                           const V *high) {
    int64_t in_image = all->down * all->across, image = tile / in_image, place = tile % in_image;
    int64_t top = place / all->across * TILE, left = place % all->across * TILE;
    if (!bits) {
        for (int i = 0; i < TILE && top + i < all->height; i++)
            for (int j = 0; j < TILE && left + j < all->width; j++)
                _mm512_storeu_si512(out + ((image * all->height + top + i) * all->width + left + j) * all->channels + channel,
                                    (__m512i)_mm512_cvtne2ps_pbh(high[TILE * i + j], low[TILE * i + j]));
        return;
    }
    int64_t height = all->height / 2, width = all->width / 2;
    for (int i = 0; i < 2 && top / 2 + i < height; i++)
        for (int j = 0; j < 2 && left / 2 + j < width; j++) {
            int at = 2 * TILE * i + 2 * j;
            __mmask16 right[2], lower[2];
            V of_low = pool(low[at], low[at + 1], low[at + TILE], low[at + TILE + 1], right, lower);
            V of_high = pool(high[at], high[at + 1], high[at + TILE], high[at + TILE + 1], right + 1, lower + 1);
            int64_t pixel = (image * height + top / 2 + i) * width + left / 2 + j;
            _mm512_storeu_si512(out + pixel * all->channels + channel, (__m512i)_mm512_cvtne2ps_pbh(of_high, of_low));
            uint32_t *here = bits + (pixel * all->channels + channel) / LANES * 2;
            uint32_t rights = right[0] | (uint32_t)right[1] << 16, lowers = lower[0] | (uint32_t)lower[1] << 16;
            here[0] = _pext_u32(rights, 0x55555555) | _pext_u32(rights, 0xaaaaaaaa) << 16;
            here[1] = _pext_u32(lowers, 0x55555555) | _pext_u32(lowers, 0xaaaaaaaa) << 16;
        }
}

static int64_t room_for_points(int64_t inputs) { return (BLOCK * padded(inputs) + SKEW) * POINTS * 2; }

static int64_t room_of(int64_t inputs, int64_t outputs) {
    return room_for_points(inputs) + (BLOCK * columns_of(outputs) + SKEW) * POINTS * 4;
}

/* Bytes that visto_convolve needs. */
int64_t visto_room(int64_t inputs, int64_t outputs, int threads) { return threads * room_of(inputs, outputs); }

/* The convolution of images (`read_bits`: whose numbers are a pooled gradient) with packed filters; `made_bits`: pooled. */
void visto_convolve(const bf16 *numbers, const uint32_t *read_bits, const bf16 *packed, bf16 *out, uint32_t *made_bits,
                    char *room, int64_t images, int64_t height, int64_t width, int64_t inputs, int64_t outputs,
                    int threads) {
    Images read = images_of(numbers, read_bits, images, height, width, inputs);
    Images made = images_of(NULL, NULL, images, height, width, outputs);
    int64_t all = padded(inputs), columns = columns_of(outputs), stride = BLOCK * all + SKEW;
    int64_t sums_stride = BLOCK * columns + SKEW;
#pragma omp parallel num_threads(threads)
    {
        bf16 *points = (bf16 *)(room + omp_get_thread_num() * room_of(inputs, outputs));
        float *sums = (float *)((char *)points + room_for_points(inputs));
#pragma omp for schedule(static)
        for (int64_t first = 0; first < read.tiles; first += BLOCK) {
            block_to_points(points, &read, first, stride);
            for (int64_t j = 0; j < outputs; j += columns) {
                for (int64_t p = 0; p < POINTS; p++)
                    for (int64_t t = 0; t < BLOCK; t += ROWS) {
                        const bf16 *left = points + p * stride + t * all, *right = packed + (p * outputs + j) * all;
                        float *to = sums + p * sums_stride + t * columns;
                        if (columns == 64)
                            multiply_64(left, all, 2, right, to, columns, all / 2, 0);
                        else
                            multiply_32(left, all, 2, right, to, columns, all / 2, 0);
                    }
                for (int64_t t = 0; t < BLOCK && first + t < read.tiles; t++)
                    for (int64_t c = 0; c < columns; c += LANES) {
                        V low[TILE * TILE], high[TILE * TILE];
                        tile_from_points(low, sums + t * columns + c, sums_stride);
                        tile_from_points(high, sums + t * columns + c + 16, sums_stride);
                        tile_to_images(out, made_bits, &made, first + t, j + c, low, high);
                    }
            }
        }
    }
}

#endif
