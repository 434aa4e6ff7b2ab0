/* 3×3 convolutions with a border of one pixel by Winograd's F(4×4, 3×3), in bf16 with sums in fp32, forward and back.

Four by four pixels of the result come from a window of six by six: 36 products for a pair of channels instead of 144
(Lavin and Gray 2016, arXiv 1509.09308). The points are 0, ±1/√2, ±√2 and infinity: with these, rounding the points to bf16
adds about 1 % of noise (2 % with the usual 0, ±1, ±2). Images are N×H×W×C. A result may be max-pooled 2×2 as it is made;
which of the four was the largest is kept as two bits.

Channels are read 32 at a time and taken apart into the sixteen even and the sixteen odd ones, which costs one operation each:
numbers at points lie in that order, and filters are packed to suit. */

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__BMI2__)
#include "points.h"
#include <omp.h>
#include <string.h>

enum {
    POINTS = 36,
    SIDE = 6,   /* pixels a side of a window */
    TILE = 4,   /* and of what comes from it */
    BLOCK = 48, /* tiles a thread works on at once: what it needs should stay in its second cache */
    ROWS = 6,   /* of them in one kernel */
    SKEW = 32,  /* numbers between the ends of a point and the next: else all would fall on the same lines of a cache */
    MOST = 4096 /* channels */
};

static const bf16 NOTHING[MOST] __attribute__((aligned(64)));

/* The images that are read or made; `pooled` ones have half the sides, and two bits for each number. */
typedef struct {
    int64_t height, width, channels, down, across, tiles;
    const bf16 *numbers;
    const uint32_t *bits; /* two words for 32 channels; NULL where nothing is pooled */
} Images;

static Images images_of(const bf16 *numbers, const uint32_t *bits, int64_t images, int64_t height, int64_t width,
                        int64_t channels) {
    int64_t down = (height + TILE - 1) / TILE, across = (width + TILE - 1) / TILE;
    Images all = {height, width, channels, down, across, images * down * across, numbers, bits};
    return all;
}

/* Where the numbers of a window's pixels lie, `side` a side from `border` before the tile: zeros beyond the image. Where they
are pooled, those of the pooled pixels, `pooled_side(side, border)` a side, and their bits. */
typedef struct {
    const bf16 *numbers[POINTS];
    const uint32_t *bits[POINTS];
} Window;

static inline int pooled_side(int side, int border) { return (side - 1 + border) / 2 + 1; }

static inline void find_window(Window *window, const Images *all, int64_t tile, int side, int border, int pooled) {
    int64_t in_image = all->down * all->across, image = tile / in_image, place = tile % in_image;
    int64_t top = (place / all->across * TILE - border) >> pooled, left = (place % all->across * TILE - border) >> pooled;
    int64_t height = all->height >> pooled, width = all->width >> pooled, step = all->channels;
    int across = pooled ? pooled_side(side, border) : side;
    for (int i = 0; i < across; i++) {
        int64_t row = top + i, line = (image * height + row) * width;
        int row_is_there = tile < all->tiles && row >= 0 && row < height;
        EACH(j, across) {
            int64_t column = left + j, pixel = line + column;
            int there = row_is_there && column >= 0 && column < width, at = across * i + j;
            window->numbers[at] = there ? all->numbers + pixel * step : NOTHING;
            if (pooled) window->bits[at] = there ? all->bits + pixel * step / LANES * 2 : (const uint32_t *)NOTHING;
        }
    }
}

/* The even (0) or odd (1) ones of 32 channels, zero where they are not chosen. */
static inline V half_of(__m512i both, int odd, __mmask16 chosen) {
    return (V)(odd ? _mm512_maskz_and_epi32(chosen, both, _mm512_set1_epi32((int)0xffff0000))
                   : _mm512_maskz_slli_epi32(chosen, both, 16));
}

/* Those from `channel`, of all pixels of a window. */
static inline void read_window(V *pixels, const Window *window, int side, int border, int64_t channel, __mmask32 there,
                               int odd, int pooled) {
    if (!pooled) {
        EACH(i, side * side)
            pixels[i] = half_of(_mm512_maskz_loadu_epi16(there, window->numbers[i] + channel), odd, 0xffff);
        return;
    }
    EACH(k, pooled_side(side, border) * pooled_side(side, border)) {
        int row = k / pooled_side(side, border) * 2 - border, column = k % pooled_side(side, border) * 2 - border;
        __m512i both = _mm512_maskz_loadu_epi16(there, window->numbers[k] + channel);
        const uint32_t *bits = window->bits[k] + channel / LANES * 2;
        uint32_t right = odd ? bits[0] >> 16 : bits[0], lower = odd ? bits[1] >> 16 : bits[1];
        uint32_t chosen[4] = {~right & ~lower, right & ~lower, ~right & lower, right & lower};
        EACH(q, 4) {
            int i = row + q / 2, j = column + q % 2;
            if (i >= 0 && i < side && j >= 0 && j < side) pixels[side * i + j] = half_of(both, odd, (__mmask16)chosen[q]);
        }
    }
}

static inline void window_to_points(V *points, const Window *window, int64_t channel, __mmask32 there, int odd, int pooled) {
    V half[POINTS];
    read_window(half, window, SIDE, 1, channel, there, odd, pooled);
    EACH(i, SIDE) points_of_pixels(half + i, SIDE, half + i, SIDE);
    EACH(i, SIDE) points_of_pixels(half + SIDE * i, 1, points + SIDE * i, 1);
}

static inline void gradient_to_points(V *points, const Window *window, int64_t channel, int odd, int pooled) {
    V pixels[TILE * TILE], half[SIDE * TILE];
    read_window(pixels, window, TILE, 0, channel, ~0u, odd, pooled);
    EACH(i, TILE) points_of_gradient(pixels + i, TILE, half + i, TILE);
    EACH(i, SIDE) points_of_gradient(half + TILE * i, 1, points + SIDE * i, 1);
}

static inline __mmask32 channels_there(int64_t channel, int64_t channels) {
    return channels - channel >= LANES ? ~0u : (1u << (channels - channel)) - 1;
}

static int64_t padded(int64_t channels) { return (channels + LANES - 1) / LANES * LANES; }

/* Tiles whose gradient is added at once: many where adding moves much memory, else as many as stay near. */
static int64_t wide_of(int64_t inputs, int64_t outputs) {
    int64_t all = padded(inputs), near = 36864 / (all + outputs) / 2 * 2;
    return all * outputs > 32768 ? 384 : near < 48 ? 48 : near;
}

static int64_t columns_of(int64_t outputs) { return outputs % 64 ? 32 : 64; }

/* Which channel lies at a place in the order of points. */
static inline int64_t channel_at(int64_t place) {
    int64_t within = place % LANES;
    return place - within + (within < 16 ? 2 * within : 2 * (within - 16) + 1);
}

/* sums (R×16C) = or += left (R rows of pairs) times right (pairs of rows of 16C). */
#define KERNEL(NAME, R, C)                                                                                                    \
    static inline void NAME(const bf16 *left, int64_t row, int64_t step, const bf16 *right, float *sums, int64_t sums_row, \
                            int64_t steps, int more) {                                                                     \
        V sum[R][C];                                                                                                       \
        EACH(r, R) EACH(c, C) sum[r][c] = more ? _mm512_loadu_ps(sums + r * sums_row + 16 * c) : _mm512_setzero_ps();      \
        for (int64_t k = 0; k < steps; k++) {                                                                              \
            __m512bh of_column[C];                                                                                         \
            EACH(c, C) of_column[c] = (__m512bh)_mm512_loadu_si512(right + k * 32 * C + 32 * c);                           \
            EACH(r, R) {                                                                                                   \
                int32_t pair;                                                                                              \
                memcpy(&pair, left + r * row + k * step, sizeof pair);                                                     \
                __m512bh of_row = (__m512bh)_mm512_set1_epi32(pair);                                                       \
                EACH(c, C) sum[r][c] = _mm512_dpbf16_ps(sum[r][c], of_row, of_column[c]);                                  \
            }                                                                                                              \
        }                                                                                                                  \
        EACH(r, R) EACH(c, C) _mm512_storeu_ps(sums + r * sums_row + 16 * c, sum[r][c]);                                   \
    }
KERNEL(multiply_64, ROWS, 4)
KERNEL(multiply_32, ROWS, 2)
KERNEL(multiply_outer, 8, 2)

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

static inline void tile_from_points(V *pixels, const float *sums, int64_t stride) {
    V points[POINTS], half[SIDE * TILE];
    EACH(p, POINTS) points[p] = _mm512_loadu_ps(sums + p * stride);
    EACH(i, SIDE) pixels_of_points(points + i, SIDE, half + i, SIDE);
    EACH(i, TILE) pixels_of_points(half + SIDE * i, 1, pixels + TILE * i, 1);
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

/* Bytes that visto_convolve needs for each thread, and visto_convolve_back for all. */
int64_t visto_room(int64_t inputs, int64_t outputs) {
    return room_for_points(inputs) + (BLOCK * columns_of(outputs) + SKEW) * POINTS * 4;
}

int64_t visto_room_back(int64_t inputs, int64_t outputs) {
    int64_t all = padded(inputs), wide = wide_of(inputs, outputs);
    return POINTS * (2 * (wide * (all + outputs) + 2 * SKEW) + 4 * all * outputs);
}

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
        bf16 *points = (bf16 *)(room + omp_get_thread_num() * visto_room(inputs, outputs));
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

/* Two tiles' numbers at points side by side, in groups of `group` channels: groups × pairs of tiles × group × 2. */
static inline void store_pairs(bf16 *to, int64_t wide, int64_t group, int64_t tile, int64_t place, __m512i both) {
    bf16 *at = to + place / group * group * wide + tile * group + place % group * 2;
    if (group >= 16) {
        _mm512_storeu_si512(at, both);
    } else {
        _mm256_storeu_si256((__m256i *)at, _mm512_castsi512_si256(both));
        _mm256_storeu_si256((__m256i *)(at + group * wide), _mm512_extracti64x4_epi64(both, 1));
    }
}

/* The gradient of taps (9 × inputs × outputs) of images and the gradient of what was made of them (`bits`: and pooled). */
void visto_convolve_back(const bf16 *numbers, const bf16 *gradient, const uint32_t *bits, float *taps, char *room,
                         int64_t images, int64_t height, int64_t width, int64_t inputs, int64_t outputs,
                         int threads) {
    Images read = images_of(numbers, NULL, images, height, width, inputs);
    Images made = images_of(gradient, bits, images, height, width, outputs);
    int64_t wide = wide_of(inputs, outputs), all = padded(inputs), left_stride = wide * all + SKEW, right_stride = wide * outputs + SKEW;
    float *sums = (float *)room;
    bf16 *left = (bf16 *)(sums + POINTS * all * outputs), *right = left + POINTS * left_stride;
#pragma omp parallel num_threads(threads)
    {
        for (int64_t first = 0; first < read.tiles; first += wide) {
            int64_t tiles = read.tiles - first < wide ? (read.tiles - first + 1) / 2 * 2 : wide;
#pragma omp for schedule(static)
            for (int64_t t = 0; t < tiles; t += 2) {
                Window window[2];
                V points[2][POINTS];
                EACH(k, 2) find_window(window + k, &read, first + t + k, SIDE, 1, 0);
                for (int64_t c = 0; c < all; c += LANES)
                    for (int odd = 0; odd < 2; odd++) {
                        __mmask32 there = channels_there(c, inputs);
                        EACH(k, 2) {
                            if (odd)
                                window_to_points(points[k], window + k, c, there, 1, 0);
                            else
                                window_to_points(points[k], window + k, c, there, 0, 0);
                        }
                        for (int64_t p = 0; p < POINTS; p++)
                            store_pairs(left + p * left_stride, wide, 8, t, c + 16 * odd, pairs(points[0][p], points[1][p]));
                    }
                EACH(k, 2) {
                    if (bits)
                        find_window(window + k, &made, first + t + k, TILE, 0, 1);
                    else
                        find_window(window + k, &made, first + t + k, TILE, 0, 0);
                }
                for (int64_t c = 0; c < outputs; c += LANES)
                    for (int odd = 0; odd < 2; odd++) {
                        EACH(k, 2) {
                            if (bits)
                                gradient_to_points(points[k], window + k, c, odd, 1);
                            else
                                gradient_to_points(points[k], window + k, c, odd, 0);
                        }
                        for (int64_t p = 0; p < POINTS; p++)
                            store_pairs(right + p * right_stride, wide, 32, t, c + 16 * odd, pairs(points[0][p], points[1][p]));
                    }
            }
#pragma omp for schedule(static)
            for (int64_t p = 0; p < POINTS; p++)
                for (int64_t j = 0; j < outputs; j += 32)
                    for (int64_t i = 0; i < all; i += 8)
                        multiply_outer(left + p * left_stride + i * wide, 2, 16, right + p * right_stride + j * wide,
                                       sums + (p * all + i) * outputs + j, outputs, tiles / 2, first > 0);
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < all; i++) {
            int64_t channel = channel_at(i);
            if (channel >= inputs) continue;
            for (int64_t j = 0; j < outputs; j += LANES) {
                V nine[2][9];
                EACH(k, 2) {
                    V points[POINTS], half[3 * SIDE];
                    EACH(p, POINTS) points[p] = _mm512_loadu_ps(sums + (p * all + i) * outputs + j + 16 * k);
                    EACH(q, SIDE) taps_of_points(points + q, SIDE, half + q, SIDE);
                    EACH(q, 3) taps_of_points(half + SIDE * q, 1, nine[k] + 3 * q, 1);
                }
                __m512i first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
                __m512i second = _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8);
                EACH(q, 9) {
                    float *to = taps + (q * inputs + channel) * outputs + j;
                    _mm512_storeu_ps(to, _mm512_permutex2var_ps(nine[0][q], first, nine[1][q]));
                    _mm512_storeu_ps(to + 16, _mm512_permutex2var_ps(nine[0][q], second, nine[1][q]));
                }
            }
        }
    }
}
#endif
