/* What the convolutions by Winograd's method have in common: tiles of images, and windows of bf16 ones at points. */

#include "points.h"
#include <omp.h>
#include <string.h>

enum {
    POINTS = 36,
    SIDE = 6,   /* pixels a side of a window */
    TILE = 4,   /* and of what comes from it */
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

static inline __mmask32 channels_there(int64_t channel, int64_t channels) {
    return channels - channel >= LANES ? ~0u : (1u << (channels - channel)) - 1;
}

static int64_t padded(int64_t channels) { return (channels + LANES - 1) / LANES * LANES; }

/* Outputs that are made at once. */
static inline int64_t columns_of(int64_t outputs) { return outputs % 64 ? 32 : 64; }

/* Which channel lies at a place in the order of points. */
static inline int64_t channel_at(int64_t place) {
    int64_t within = place % LANES;
    return place - within + (within < 16 ? 2 * within : 2 * (within - 16) + 1);
}

static inline void tile_from_points(V *pixels, const float *sums, int64_t stride) {
    V points[POINTS], half[SIDE * TILE];
    EACH(p, POINTS) points[p] = _mm512_loadu_ps(sums + p * stride);
    EACH(i, SIDE) pixels_of_points(points + i, SIDE, half + i, SIDE);
    EACH(i, TILE) pixels_of_points(half + SIDE * i, 1, pixels + TILE * i, 1);
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
