/* Batch norm without a gain, then GELU, of bf16 numbers pixels × channels; sums in one order, whatever the count of threads. */

#if defined(__AVX512BF16__) && defined(__AVX512BW__)
#include "lanes.h"

enum { PART = 512 /* pixels that are summed by themselves */ };

static inline Both read_lanes(const bf16 *at) { return taken_apart(_mm512_loadu_si512(at)); }

static inline void write_lanes(bf16 *at, V even, V odd) { _mm512_storeu_si512(at, pairs(even, odd)); }

/* e to a power of at most 0, relative error 2e-6 or less. */
static inline V exponential(V x) {
    V y = _mm512_mul_ps(_mm512_max_ps(x, _mm512_set1_ps(-80)), _mm512_set1_ps(1.44269504f));
    V whole = _mm512_roundscale_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), f = y - whole;
    V p = _mm512_fmadd_ps(_mm512_set1_ps(1.3333558e-3f), f, _mm512_set1_ps(9.6181291e-3f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.5504109e-2f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(.24022651f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(.69314718f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1));
    return _mm512_scalef_ps(p, whole);
}

/* The normal distribution's density times sqrt(2 pi), and its integral (Abramowitz and Stegun 7.1.26, error 1e-7). */
static inline V normal(V z, V *density) {
    V e = exponential(_mm512_mul_ps(_mm512_mul_ps(z, z), _mm512_set1_ps(-.5f)));
    V size = _mm512_abs_ps(z);
    V t = _mm512_div_ps(_mm512_set1_ps(1), _mm512_fmadd_ps(size, _mm512_set1_ps(.3275911f * .70710678f), _mm512_set1_ps(1)));
    V p = _mm512_fmadd_ps(_mm512_set1_ps(.5f * 1.061405429f), t, _mm512_set1_ps(.5f * -1.453152027f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(.5f * 1.421413741f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(.5f * -.284496736f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(.5f * .254829592f));
    V tail = p * t * e; /* beyond |z| */
    *density = e;
    __mmask16 positive = _mm512_cmp_ps_mask(z, _mm512_setzero_ps(), _CMP_GE_OQ);
    return _mm512_mask_sub_ps(tail, positive, _mm512_set1_ps(1), tail);
}

static inline V gelu(V z) {
    V density;
    return z * normal(z, &density);
}

static inline V slope_of_gelu(V z) {
    V density, below = normal(z, &density);
    return _mm512_fmadd_ps(z * density, _mm512_set1_ps(.39894228f), below);
}

/* Of a table channel by channel, in which of 32 the even ones come first, as in all tables and sums here. */
static inline Both of(const float *table, int64_t c) {
    Both both = {_mm512_loadu_ps(table + c), _mm512_loadu_ps(table + c + 16)};
    return both;
}

static inline void store_sums(float *to, int64_t channels, const V *sum) {
    for (int k = 0; k < 4; k++) _mm512_storeu_ps(to + k / 2 * channels + k % 2 * 16, sum[k]);
}

/* Parts × 2 × channels: the sums, and those of squares. */
void visto_moments(const bf16 *x, float *sums, int64_t pixels, int64_t channels, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t part = 0; part < (pixels + PART - 1) / PART; part++)
        for (int64_t c = 0; c < channels; c += LANES) {
            V sum[4] = {0};
            for (int64_t i = part * PART; i < (part + 1) * PART && i < pixels; i++) {
                Both b = read_lanes(x + i * channels + c);
                sum[0] += b.even, sum[1] += b.odd;
                sum[2] = _mm512_fmadd_ps(b.even, b.even, sum[2]), sum[3] = _mm512_fmadd_ps(b.odd, b.odd, sum[3]);
            }
            store_sums(sums + part * 2 * channels + c, channels, sum);
        }
}

/* y = gelu(x * scale + shift). */
void visto_norm_gelu(const bf16 *x, const float *scale, const float *shift, bf16 *y, int64_t pixels, int64_t channels,
                     int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t c = 0; c < channels; c += LANES) {
            Both b = read_lanes(x + i * channels + c), s = of(scale, c), t = of(shift, c);
            write_lanes(y + i * channels + c, gelu(_mm512_fmadd_ps(b.even, s.even, t.even)), gelu(_mm512_fmadd_ps(b.odd, s.odd, t.odd)));
        }
}

/* g = dy * gelu'(x * scale + shift), and its sums: parts × 2 × channels, of g and of g * x. */
void visto_norm_gelu_slope(const bf16 *x, const bf16 *dy, const float *scale, const float *shift, bf16 *g, float *sums,
                           int64_t pixels, int64_t channels, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t part = 0; part < (pixels + PART - 1) / PART; part++)
        for (int64_t c = 0; c < channels; c += LANES) {
            V sum[4] = {0};
            Both s = of(scale, c), t = of(shift, c);
            for (int64_t i = part * PART; i < (part + 1) * PART && i < pixels; i++) {
                Both b = read_lanes(x + i * channels + c), d = read_lanes(dy + i * channels + c);
                V even = d.even * slope_of_gelu(_mm512_fmadd_ps(b.even, s.even, t.even));
                V odd = d.odd * slope_of_gelu(_mm512_fmadd_ps(b.odd, s.odd, t.odd));
                sum[0] += even, sum[1] += odd;
                sum[2] = _mm512_fmadd_ps(even, b.even, sum[2]), sum[3] = _mm512_fmadd_ps(odd, b.odd, sum[3]);
                write_lanes(g + i * channels + c, even, odd);
            }
            store_sums(sums + part * 2 * channels + c, channels, sum);
        }
}

/* g = g * a + x * b + c. */
void visto_norm_back(bf16 *g, const bf16 *x, const float *a, const float *b, const float *c, int64_t pixels,
                     int64_t channels, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t k = 0; k < channels; k += LANES) {
            Both d = read_lanes(g + i * channels + k), e = read_lanes(x + i * channels + k);
            Both p = of(a, k), q = of(b, k), r = of(c, k);
            write_lanes(g + i * channels + k, _mm512_fmadd_ps(d.even, p.even, _mm512_fmadd_ps(e.even, q.even, r.even)),
                  _mm512_fmadd_ps(d.odd, p.odd, _mm512_fmadd_ps(e.odd, q.odd, r.odd)));
        }
}
#endif
