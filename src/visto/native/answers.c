/* 3×3 convolutions of fp32 images by Winograd's method, for answers: see winograd.c. In fp32 the noise is that of the last bits. */

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__BMI2__)
#include "windows.h"

enum {
    BLOCK = 24, /* tiles a thread works on at once */
    ROWS = 6    /* of them in one kernel */
};

static const float ZEROS[MOST] __attribute__((aligned(64)));

/* sums (R×16C) = left (R rows) times right (rows of 16C). */
#define KERNEL_FP32(NAME, R, C)                                                                                         \
    static inline void NAME(const float *left, int64_t row, const float *right, float *sums, int64_t sums_row, int64_t steps) { \
        V sum[R][C];                                                                                                    \
        EACH(r, R) EACH(c, C) sum[r][c] = _mm512_setzero_ps();                                                          \
        for (int64_t k = 0; k < steps; k++) {                                                                           \
            V of_column[C];                                                                                             \
            EACH(c, C) of_column[c] = _mm512_loadu_ps(right + (k * C + c) * 16);                                        \
            EACH(r, R) {                                                                                                \
                V of_row = _mm512_set1_ps(left[r * row + k]);                                                           \
                EACH(c, C) sum[r][c] = _mm512_fmadd_ps(of_row, of_column[c], sum[r][c]);                                \
            }                                                                                                           \
        }                                                                                                               \
        EACH(r, R) EACH(c, C) _mm512_storeu_ps(sums + r * sums_row + 16 * c, sum[r][c]);                                \
    }
KERNEL_FP32(multiply_64_fp32, ROWS, 4)
KERNEL_FP32(multiply_32_fp32, ROWS, 2)

/* Filters at points, packed: points × columns/64 (or 32) × inputs × 64 (or 32), of taps (9 × inputs × outputs). */
void visto_filters_to_points_fp32(const float *taps, float *packed, int64_t inputs, int64_t outputs, int threads) {
    int64_t columns = columns_of(outputs);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t channel = 0; channel < inputs; channel++)
        for (int64_t j = 0; j < outputs; j += 16) {
            V nine[9], half[3 * SIDE], points[POINTS];
            EACH(i, 9) nine[i] = _mm512_loadu_ps(taps + (i * inputs + channel) * outputs + j);
            EACH(i, 3) points_of_taps(nine + i, 3, half + i, 3);
            EACH(i, SIDE) points_of_taps(half + 3 * i, 1, points + SIDE * i, 1);
            EACH(p, POINTS)
                _mm512_storeu_ps(packed + (p * outputs + j / columns * columns) * inputs + channel * columns + j % columns, points[p]);
        }
}

static void tile_to_points(float *points, const float *numbers, const Images *all, int64_t tile, int64_t stride) {
    int64_t in_image = all->down * all->across, image = tile / in_image, place = tile % in_image;
    int64_t top = place / all->across * TILE - 1, left = place % all->across * TILE - 1;
    const float *window[POINTS];
    for (int i = 0; i < SIDE; i++)
        EACH(j, SIDE) {
            int64_t row = top + i, column = left + j;
            int there = row >= 0 && row < all->height && column >= 0 && column < all->width;
            window[SIDE * i + j] = there ? numbers + ((image * all->height + row) * all->width + column) * all->channels : ZEROS;
        }
    for (int64_t c = 0; c < all->channels; c += 16) {
        __mmask16 there = all->channels - c >= 16 ? 0xffff : (__mmask16)((1u << (all->channels - c)) - 1);
        V half[POINTS], made[POINTS];
        EACH(i, POINTS) half[i] = _mm512_maskz_loadu_ps(there, window[i] + c);
        EACH(i, SIDE) points_of_pixels(half + i, SIDE, half + i, SIDE);
        EACH(i, SIDE) points_of_pixels(half + SIDE * i, 1, made + SIDE * i, 1);
        EACH(p, POINTS) _mm512_storeu_ps(points + p * stride + c, made[p]);
    }
}

static void tile_to_floats(float *out, const Images *all, int64_t tile, int64_t channel, const V *pixels, int pooled) {
    int64_t in_image = all->down * all->across, image = tile / in_image, place = tile % in_image;
    int64_t top = (place / all->across * TILE) >> pooled, left = (place % all->across * TILE) >> pooled;
    int64_t height = all->height >> pooled, width = all->width >> pooled;
    for (int i = 0; i < (TILE >> pooled) && top + i < height; i++)
        for (int j = 0; j < (TILE >> pooled) && left + j < width; j++) {
            const V *at = pixels + ((TILE * i + j) << pooled);
            V made = pooled ? _mm512_max_ps(_mm512_max_ps(at[0], at[1]), _mm512_max_ps(at[TILE], at[TILE + 1])) : at[0];
            _mm512_storeu_ps(out + ((image * height + top + i) * width + left + j) * all->channels + channel, made);
        }
}

static int64_t room_of(int64_t inputs, int64_t outputs) {
    return (BLOCK * (padded(inputs) + columns_of(outputs)) + 2 * SKEW) * POINTS * 4;
}

/* Bytes that visto_convolve_fp32 needs. */
int64_t visto_room_fp32(int64_t inputs, int64_t outputs, int threads) { return threads * room_of(inputs, outputs); }

/* The convolution of images with packed filters, max-pooled 2×2 where `pooled`. */
void visto_convolve_fp32(const float *numbers, const float *packed, float *out, char *room, int64_t images, int64_t height,
                         int64_t width, int64_t inputs, int64_t outputs, int pooled, int threads) {
    Images read = images_of(NULL, NULL, images, height, width, inputs);
    Images made = images_of(NULL, NULL, images, height, width, outputs);
    int64_t all = padded(inputs), columns = columns_of(outputs), stride = BLOCK * all + SKEW, sums_stride = BLOCK * columns + SKEW;
#pragma omp parallel num_threads(threads)
    {
        float *points = (float *)(room + omp_get_thread_num() * room_of(inputs, outputs)), *sums = points + POINTS * stride;
#pragma omp for schedule(static)
        for (int64_t first = 0; first < read.tiles; first += BLOCK) {
            int64_t tiles = read.tiles - first < BLOCK ? read.tiles - first : BLOCK;
            for (int64_t t = 0; t < tiles; t++) tile_to_points(points + t * all, numbers, &read, first + t, stride);
            for (int64_t j = 0; j < outputs; j += columns) {
                for (int64_t p = 0; p < POINTS; p++)
                    for (int64_t t = 0; t < tiles; t += ROWS) {
                        const float *left = points + p * stride + t * all, *right = packed + (p * outputs + j) * inputs;
                        float *to = sums + p * sums_stride + t * columns;
                        if (columns == 64)
                            multiply_64_fp32(left, all, right, to, columns, inputs);
                        else
                            multiply_32_fp32(left, all, right, to, columns, inputs);
                    }
                for (int64_t t = 0; t < tiles; t++)
                    for (int64_t c = 0; c < columns; c += 16) {
                        V pixels[TILE * TILE];
                        tile_from_points(pixels, sums + t * columns + c, sums_stride);
                        tile_to_floats(out, &made, first + t, j + c, pixels, pooled);
                    }
            }
        }
    }
}
#endif
