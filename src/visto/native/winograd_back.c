/* The gradient of filters by Winograd's method: see winograd.c.

Each thread has tiles of its own, and its own sums where they are small: threads that share what they have just made wait for
each other's caches. The sums are added in the order of the threads. */

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__BMI2__)
#include "windows.h"

/* Whether the threads work at each block of tiles together, as sums are too large for each to have its own. */
static int together(int64_t inputs, int64_t outputs) { return padded(inputs) * outputs > 16384; }

/* Tiles whose gradient is added at once: many where adding moves much memory, else as many as stay near. */
static int64_t wide_of(int64_t inputs, int64_t outputs) {
    int64_t near = 24576 / (padded(inputs) + outputs) / 2 * 2;
    return together(inputs, outputs) ? 384 : near < 48 ? 48 : near;
}

KERNEL(multiply_outer, 8, 2)

/* Bytes that visto_convolve_back needs. */
int64_t visto_room_back(int64_t inputs, int64_t outputs, int threads) {
    int64_t all = padded(inputs), wide = wide_of(inputs, outputs), rooms = together(inputs, outputs) ? 1 : threads;
    return rooms * POINTS * (2 * (wide * (all + outputs) + 2 * SKEW) + 4 * all * outputs);
}

static inline void gradient_to_points(V *points, const Window *window, int64_t channel, int odd, int pooled) {
    V pixels[TILE * TILE], half[SIDE * TILE];
    read_window(pixels, window, TILE, 0, channel, ~0u, odd, pooled);
    EACH(i, TILE) points_of_gradient(pixels + i, TILE, half + i, TILE);
    EACH(i, SIDE) points_of_gradient(half + TILE * i, 1, points + SIDE * i, 1);
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

/* Tiles `from` to `to` of those from `first`, of images and of the gradient, at points. */
static void pairs_to_points(bf16 *left, bf16 *right, const Images *read, const Images *made, int64_t first, int64_t from,
                            int64_t to, int64_t wide) {
    int64_t all = padded(read->channels), left_stride = wide * all + SKEW, right_stride = wide * made->channels + SKEW;
    for (int64_t t = from; t < to; t += 2) {
        Window window[2];
        V points[2][POINTS];
        EACH(k, 2) find_window(window + k, read, first + t + k, SIDE, 1, 0);
        for (int64_t c = 0; c < all; c += LANES)
            for (int odd = 0; odd < 2; odd++) {
                __mmask32 there = channels_there(c, read->channels);
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
            if (made->bits)
                find_window(window + k, made, first + t + k, TILE, 0, 1);
            else
                find_window(window + k, made, first + t + k, TILE, 0, 0);
        }
        for (int64_t c = 0; c < made->channels; c += LANES)
            for (int odd = 0; odd < 2; odd++) {
                EACH(k, 2) {
                    if (made->bits)
                        gradient_to_points(points[k], window + k, c, odd, 1);
                    else
                        gradient_to_points(points[k], window + k, c, odd, 0);
                }
                for (int64_t p = 0; p < POINTS; p++)
                    store_pairs(right + p * right_stride, wide, 32, t, c + 16 * odd, pairs(points[0][p], points[1][p]));
            }
    }
}

/* Points `from` to `to`: the products of all inputs with all outputs, summed over `tiles`. */
static void sum_products(float *sums, const bf16 *left, const bf16 *right, int64_t from, int64_t to, int64_t all,
                         int64_t outputs, int64_t wide, int64_t tiles, int more) {
    for (int64_t p = from; p < to; p++)
        for (int64_t j = 0; j < outputs; j += 32)
            for (int64_t i = 0; i < all; i += 8)
                multiply_outer(left + p * (wide * all + SKEW) + i * wide, 2, 16, right + p * (wide * outputs + SKEW) + j * wide,
                               sums + (p * all + i) * outputs + j, outputs, tiles / 2, more);
}

/* The gradient of taps (9 × inputs × outputs) of images and the gradient of what was made of them (`bits`: and pooled). */
void visto_convolve_back(const bf16 *numbers, const bf16 *gradient, const uint32_t *bits, float *taps, char *room,
                         int64_t images, int64_t height, int64_t width, int64_t inputs, int64_t outputs,
                         int threads) {
    Images read = images_of(numbers, NULL, images, height, width, inputs);
    Images made = images_of(gradient, bits, images, height, width, outputs);
    int64_t all = padded(inputs), wide = wide_of(inputs, outputs), size = POINTS * all * outputs;
#pragma omp parallel num_threads(threads)
    {
        int64_t me = omp_get_thread_num(), team = omp_get_num_threads();
        int64_t members = together(inputs, outputs) ? team : 1, groups = team / members, group = me / members, place = me % members;
        float *sums = (float *)room + group * size;
        bf16 *left = (bf16 *)((float *)room + groups * size) + group * POINTS * (wide * (all + outputs) + 2 * SKEW);
        bf16 *right = left + POINTS * (wide * all + SKEW);
        int64_t begin = (read.tiles + 1) / 2 * group / groups * 2, end = (read.tiles + 1) / 2 * (group + 1) / groups * 2;
        if (begin == end) memset(sums, 0, sizeof(float) * (size_t)size);
        for (int64_t first = begin; first < end; first += wide) {
            int64_t tiles = end - first < wide ? end - first : wide;
            pairs_to_points(left, right, &read, &made, first, tiles / 2 * place / members * 2, tiles / 2 * (place + 1) / members * 2, wide);
            if (members > 1) {
#pragma omp barrier
            }
            sum_products(sums, left, right, POINTS * place / members, POINTS * (place + 1) / members, all, outputs, wide, tiles,
                         first > begin);
            if (members > 1) {
#pragma omp barrier
            }
        }
#pragma omp barrier
#pragma omp for schedule(static)
        for (int64_t i = 0; i < all; i++) {
            int64_t channel = channel_at(i);
            if (channel >= inputs) continue;
            for (int64_t j = 0; j < outputs; j += LANES) {
                V nine[2][9];
                EACH(k, 2) {
                    V points[POINTS], half[3 * SIDE];
                    EACH(p, POINTS) {
                        const float *of_point = (const float *)room + (p * all + i) * outputs + j + 16 * k;
                        points[p] = _mm512_loadu_ps(of_point);
                        for (int64_t s = 1; s < groups; s++) points[p] += _mm512_loadu_ps(of_point + s * size);
                    }
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
