// What lies between the matrix products of GPT-2, in one pass over memory each.
//
// Arithmetic is fp32, on rows that stay in the cache; what comes and goes is fp32 or bf16.

#include "numbers.h"

#include <vector>

namespace {

constexpr int64_t PIECE = 1024; // numbers at a time of what has no rows

// x gate(x), where gate is the sigmoid of x (linear + cubic x^2).
constexpr float LINEAR = 1.5957691216057308f, CUBIC = LINEAR * 0.044715f;

inline float gelu_gate(float x) {
    return 1.0f / (1.0f + exponential(-x * (LINEAR + CUBIC * x * x)));
}

template <typename T> void gelu(const T *x, T *y, int64_t n) {
    float piece[PIECE];
    for (int64_t start = 0; start < n; start += PIECE) {
        const int64_t count = n - start < PIECE ? n - start : PIECE;
        read(x + start, piece, count);
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
            piece[i] *= gelu_gate(piece[i]);
        write(piece, y + start, count);
    }
}

template <typename T> void gelu_backward(const T *x, const T *dy, T *dx, int64_t n) {
    float xs[PIECE], gradients[PIECE];
    for (int64_t start = 0; start < n; start += PIECE) {
        const int64_t count = n - start < PIECE ? n - start : PIECE;
        read(x + start, xs, count);
        read(dy + start, gradients, count);
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            const float gate = gelu_gate(xs[i]), along = LINEAR + 3.0f * CUBIC * xs[i] * xs[i];
            gradients[i] *= gate * (1.0f + xs[i] * (1.0f - gate) * along);
        }
        write(gradients, dx + start, count);
    }
}

template <typename T>
void add_norm(const float *stream, const T *added, const float *weight, const float *bias,
              float epsilon, float *sum, T *normed, float *mean, float *rstd, int64_t rows,
              int64_t width) {
    std::vector<float> buffer(width);
    float *x = buffer.data();
    for (int64_t row = 0; row < rows; row++) {
        const int64_t at = row * width;
        float total = 0.0f, squares = 0.0f;
        if (added) {
            read(added + at, x, width);
#pragma omp simd reduction(+ : total)
            for (int64_t i = 0; i < width; i++) {
                x[i] += stream[at + i];
                total += x[i];
            }
            write(x, sum + at, width);
        } else {
#pragma omp simd reduction(+ : total)
            for (int64_t i = 0; i < width; i++) {
                x[i] = stream[at + i];
                total += x[i];
            }
        }
        const float centre = total / float(width);
#pragma omp simd reduction(+ : squares)
        for (int64_t i = 0; i < width; i++) {
            x[i] -= centre;
            squares += x[i] * x[i];
        }
        const float scale = 1.0f / std::sqrt(squares / float(width) + epsilon);
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            x[i] = x[i] * scale * weight[i] + bias[i];
        write(x, normed + at, width);
        mean[row] = centre;
        rstd[row] = scale;
    }
}

template <typename T>
void add_norm_backward(const float *sum, const float *weight, const float *mean,
                       const float *rstd, const T *d_normed, const float *d_sum, float *d_stream,
                       T *d_added, int64_t rows, int64_t width) {
    std::vector<float> buffer(width);
    float *g = buffer.data();
    for (int64_t row = 0; row < rows; row++) {
        const int64_t at = row * width;
        const float *x = sum + at, centre = mean[row], scale = rstd[row];
        float total = 0.0f, along = 0.0f;
        read(d_normed + at, g, width);
#pragma omp simd reduction(+ : total, along)
        for (int64_t i = 0; i < width; i++) {
            g[i] *= weight[i];
            total += g[i];
            along += g[i] * (x[i] - centre);
        }
        total /= float(width);
        along *= scale * scale / float(width);
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            g[i] = scale * (g[i] - total - (x[i] - centre) * along);
        if (d_sum)
#pragma omp simd
            for (int64_t i = 0; i < width; i++)
                g[i] += d_sum[at + i];
        write(g, d_stream + at, width);
        if (d_added)
            write(g, d_added + at, width);
    }
}

template <typename T>
void softmax(const float *scores, T *probabilities, float scale, int64_t pairs, int64_t queries,
             int64_t keys, int64_t first) {
    std::vector<float> buffer(keys);
    for (int64_t row = 0; row < pairs * queries; row++) {
        const int32_t seen = int32_t(first + row % queries + 1);
        softmax_row(scores + row * keys, buffer.data(), probabilities + row * keys, seen,
                    int32_t(keys), scale);
    }
}

template <typename T>
void cross_entropy(T *logits, const int64_t *targets, const float *weights, float *losses,
                   int64_t rows, int64_t vocabulary) {
    std::vector<float> buffer(vocabulary);
    float *x = buffer.data();
    for (int64_t row = 0; row < rows; row++) {
        T *here = logits + row * vocabulary;
        const int64_t target = targets[row];
        read(here, x, vocabulary);
        const float most = largest(x, vocabulary), wanted = x[target] - most;
        const float total = exponentials(x, vocabulary, most, 1.0f);
        losses[row] = std::log(total) - wanted;
        if (!weights)
            continue;
        multiply(x, vocabulary, weights[row] / total);
        x[target] -= weights[row];
        write(x, here, vocabulary);
    }
}

} // namespace

extern "C" {
#define KERNELS(name, T)                                                                          \
    void gelu_##name(const T *x, T *y, int64_t n) { gelu(x, y, n); }                              \
    void gelu_backward_##name(const T *x, const T *dy, T *dx, int64_t n) {                         \
        gelu_backward(x, dy, dx, n);                                                               \
    }                                                                                              \
    void add_norm_##name(const float *stream, const T *added, const float *weight,                 \
                         const float *bias, float epsilon, float *sum, T *normed, float *mean,     \
                         float *rstd, int64_t rows, int64_t width) {                               \
        add_norm(stream, added, weight, bias, epsilon, sum, normed, mean, rstd, rows, width);      \
    }                                                                                              \
    void add_norm_backward_##name(const float *sum, const float *weight, const float *mean,        \
                                  const float *rstd, const T *d_normed, const float *d_sum,        \
                                  float *d_stream, T *d_added, int64_t rows, int64_t width) {      \
        add_norm_backward(sum, weight, mean, rstd, d_normed, d_sum, d_stream, d_added, rows,       \
                          width);                                                                  \
    }                                                                                              \
    void softmax_##name(const float *scores, T *probabilities, float scale, int64_t pairs,         \
                        int64_t queries, int64_t keys, int64_t first) {                            \
        softmax(scores, probabilities, scale, pairs, queries, keys, first);                        \
    }                                                                                              \
    void cross_entropy_##name(T *logits, const int64_t *targets, const float *weights,             \
                              float *losses, int64_t rows, int64_t vocabulary) {                   \
        cross_entropy(logits, targets, weights, losses, rows, vocabulary);                         \
    }
KERNELS(fp32, float)
KERNELS(bf16, bf16)
}
