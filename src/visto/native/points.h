/* One axis of Winograd's F(4×4, 3×3), sixteen channels at once: see winograd.c. */

#include "lanes.h"

static const float NEAR = 0.70710678118654752f, FAR = 1.41421356237309505f; /* the points, with 0 and infinity */

#define EACH(i, n) _Pragma("GCC unroll 36") for (int i = 0; i < (n); i++)

static inline V times(V a, float x) { return _mm512_mul_ps(a, _mm512_set1_ps(x)); }
static inline V plus(V b, V a, float x) { return _mm512_fmadd_ps(a, _mm512_set1_ps(x), b); }

/* Along one axis: the points of six pixels; the four pixels of six points; the points of four pixels' gradient; and for
filters the points of three taps and the taps' gradient. The second and third, and the last two, are each other's transpose. */
static inline void points_of_pixels(const V *d, int s, V *m, int t) {
    V d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s], d4 = d[4 * s], d5 = d[5 * s];
    V even = plus(d4, d2, -2), odd = plus(d3, d1, -2), even2 = plus(d4, d2, -.5f), odd2 = plus(d3, d1, -.5f);
    m[0] = plus(d0 + d4, d2, -2.5f);
    m[t] = plus(even, odd, NEAR);
    m[2 * t] = plus(even, odd, -NEAR);
    m[3 * t] = plus(even2, odd2, FAR);
    m[4 * t] = plus(even2, odd2, -FAR);
    m[5 * t] = plus(d1 + d5, d3, -2.5f);
}

static inline void pixels_of_points(const V *m, int s, V *y, int t) {
    V sum = m[s] + m[2 * s], gap = m[s] - m[2 * s], sum2 = m[3 * s] + m[4 * s], gap2 = m[3 * s] - m[4 * s];
    V m0 = m[0], m5 = m[5 * s];
    y[0] = m0 + sum + sum2;
    y[t] = plus(times(gap2, FAR), gap, NEAR);
    y[2 * t] = plus(times(sum2, 2), sum, .5f);
    y[3 * t] = plus(plus(m5, gap2, 2 * FAR), gap, .5f * NEAR);
}

static inline void points_of_gradient(const V *y, int s, V *m, int t) {
    V y0 = y[0], y1 = y[s], y2 = y[2 * s], y3 = y[3 * s];
    V even = plus(y0, y2, .5f), odd = plus(y1, y3, .5f), even2 = plus(y0, y2, 2), odd2 = plus(y1, y3, 2);
    m[0] = y0;
    m[t] = plus(even, odd, NEAR);
    m[2 * t] = plus(even, odd, -NEAR);
    m[3 * t] = plus(even2, odd2, FAR);
    m[4 * t] = plus(even2, odd2, -FAR);
    m[5 * t] = y3;
}

static inline void points_of_taps(const V *w, int s, V *u, int t) {
    V w0 = w[0], w1 = w[s], w2 = w[2 * s];
    V even = times(plus(w0, w2, .5f), -2.f / 3), even2 = times(plus(w0, w2, 2), 1.f / 6);
    u[0] = w0;
    u[t] = plus(even, w1, -2.f / 3 * NEAR);
    u[2 * t] = plus(even, w1, 2.f / 3 * NEAR);
    u[3 * t] = plus(even2, w1, FAR / 6);
    u[4 * t] = plus(even2, w1, -FAR / 6);
    u[5 * t] = w2;
}

static inline void taps_of_points(const V *u, int s, V *w, int t) {
    V sum = times(u[s] + u[2 * s], -2.f / 3), gap = times(u[s] - u[2 * s], -2.f / 3);
    V sum2 = times(u[3 * s] + u[4 * s], 1.f / 6), gap2 = times(u[3 * s] - u[4 * s], 1.f / 6);
    V u0 = u[0], u5 = u[5 * s];
    w[0] = u0 + sum + sum2;
    w[t] = plus(times(gap2, FAR), gap, NEAR);
    w[2 * t] = plus(plus(u5, sum2, 2), sum, .5f);
}
