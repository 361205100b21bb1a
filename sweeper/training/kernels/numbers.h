// Numbers in fp32 and bf16, and what is done with a few of them.
//
// No -ffast-math, which would change how the whole process rounds: what may be summed in another
// order says so by itself.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

struct bf16 {
    uint16_t bits;
};

inline float wide(float x) { return x; }

inline float wide(bf16 x) {
    const uint32_t bits = uint32_t(x.bits) << 16;
    float y;
    std::memcpy(&y, &bits, sizeof y);
    return y;
}

// To the nearest, ties to even; NaN stays NaN.
inline bf16 narrow(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return {uint16_t(x == x ? rounded : 0x7fc0u)};
}

template <typename T> inline void read(const T *x, float *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = wide(x[i]);
}

inline void write(const float *x, float *y, int64_t n) { std::memcpy(y, x, n * sizeof(float)); }

inline void write(const float *x, bf16 *y, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = narrow(x[i]);
}

// e^x to 2 units in the last place from -87 to 88, and as at these ends beyond: x = n ln 2 + r,
// a polynomial for e^r (coefficients of Cephes' expf), n added to the exponent.
inline float exponential(float x) {
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    const float shifted = x * 1.44269504088896341f + 12582912.0f; // 1.5 * 2^23: rounds, and has
    const float n = shifted - 12582912.0f;                        // n in its lowest bits
    float r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    uint32_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return p * power;
}

inline float largest(const float *x, int64_t n) {
    float most = -INFINITY;
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

// x becomes e^((x - most) scale); the sum of these.
inline float exponentials(float *x, int64_t n, float most, float scale) {
    float total = 0.0f;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < n; i++) {
        x[i] = exponential((x[i] - most) * scale);
        total += x[i];
    }
    return total;
}

inline void multiply(float *x, int64_t n, float factor) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] *= factor;
}

// Probabilities of `seen` scores times `scale`; 0 for those after them.
template <typename T>
inline void softmax_row(const float *scores, float *x, T *probabilities, int32_t seen,
                        int32_t count, float scale) {
    float most = -INFINITY, total = 0.0f;
#pragma omp simd reduction(max : most)
    for (int32_t i = 0; i < count; i++) {
        x[i] = i < seen ? scores[i] : -INFINITY;
        most = x[i] > most ? x[i] : most;
    }
#pragma omp simd reduction(+ : total)
    for (int32_t i = 0; i < count; i++) {
        const float power = exponential((x[i] - most) * scale);
        x[i] = i < seen ? power : 0.0f;
        total += x[i];
    }
    multiply(x, count, 1.0f / total);
    write(x, probabilities, count);
}

} // namespace
