// Causal attention in bf16, head by head in the cache, by the processor's products of pairs.
//
// Vaswani et al. 2017, arXiv:1706.03762, eq. 1; as in FlashAttention (Dao et al. 2022,
// arXiv:2205.14135) nothing leaves the cache but what is read again, here the probabilities: of
// blocks this short they are few. Scores, sums and softmax are fp32.
//
// Rows of `qkv` are [q of all heads | k of all heads | v of all heads]. What is called packed has
// in each word, of 32 bits, two numbers that are multiplied and summed together.

#include "numbers.h"

#ifdef __AVX512BF16__

#include <immintrin.h>
#include <vector>

namespace {

constexpr int64_t ROWS = 8;   // of a product at a time
constexpr int64_t LANES = 16; // numbers in a register
constexpr int64_t WIDTH = 32; // columns of a product at a time, where there are so many

typedef uint32_t word;

// Where words of a product's left side lie; distances are in words.
struct Left {
    const void *first;
    int64_t per_row, per_pair;

    __m512bh everywhere(int64_t row, int64_t pair) const {
        int32_t both;
        std::memcpy(&both, static_cast<const char *>(first) + 4 * (row * per_row + pair * per_pair),
                    sizeof both);
        return (__m512bh)_mm512_set1_epi32(both);
    }
};

template <int64_t VECTORS>
inline void multiply_columns(Left left, const word *right, int64_t right_stride, int64_t pairs,
                             float *product, int64_t product_stride) {
    __m512 sums[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int64_t row = 0; row < ROWS; row++)
#pragma GCC unroll 2
        for (int64_t vector = 0; vector < VECTORS; vector++)
            sums[row][vector] = _mm512_setzero_ps();
    for (int64_t pair = 0; pair < pairs; pair++) {
        __m512bh columns[VECTORS];
#pragma GCC unroll 2
        for (int64_t vector = 0; vector < VECTORS; vector++)
            columns[vector] = (__m512bh)_mm512_loadu_si512(right + pair * right_stride +
                                                           vector * LANES);
#pragma GCC unroll 8
        for (int64_t row = 0; row < ROWS; row++) {
            const __m512bh same = left.everywhere(row, pair);
#pragma GCC unroll 2
            for (int64_t vector = 0; vector < VECTORS; vector++)
                sums[row][vector] = _mm512_dpbf16_ps(sums[row][vector], same, columns[vector]);
        }
    }
#pragma GCC unroll 8
    for (int64_t row = 0; row < ROWS; row++)
#pragma GCC unroll 2
        for (int64_t vector = 0; vector < VECTORS; vector++)
            _mm512_storeu_ps(product + row * product_stride + vector * LANES, sums[row][vector]);
}

// product [ROWS, columns] = left [ROWS, 2 pairs] right [2 pairs, columns], the right side packed.
inline void multiply(Left left, const word *right, int64_t right_stride, int64_t pairs,
                     float *product, int64_t columns) {
    int64_t column = 0;
    for (; column + WIDTH <= columns; column += WIDTH)
        multiply_columns<WIDTH / LANES>(left, right + column, right_stride, pairs,
                                        product + column, columns);
    for (; column < columns; column += LANES)
        multiply_columns<1>(left, right + column, right_stride, pairs, product + column, columns);
}

// Rows [n, width], two of them in each word: [n / 2, width].
inline void pack_rows(const bf16 *rows, int64_t stride, int64_t n, int64_t width, word *packed,
                      int64_t packed_stride) {
    for (int64_t row = 0; row < n; row += 2) {
        const bf16 *even = rows + row * stride, *odd = even + stride;
        word *out = packed + row / 2 * packed_stride;
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            out[i] = word(even[i].bits) | word(odd[i].bits) << 16;
    }
}

inline word word_at(const bf16 *x) {
    word both;
    std::memcpy(&both, x, sizeof both);
    return both;
}

// Rows [n, width] turned over, two columns in each word: [width / 2, n].
inline void pack_columns(const bf16 *rows, int64_t stride, int64_t n, int64_t width,
                         word *packed) {
    for (int64_t pair = 0; pair < width / 2; pair++)
        for (int64_t row = 0; row < n; row++)
            packed[pair * n + row] = word_at(rows + row * stride + 2 * pair);
}

inline Left as_left(const bf16 *rows, int64_t stride) { return {rows, stride / 2, 1}; }

// The transpose of packed rows, from one of its own rows on.
inline Left transposed(const word *packed, int64_t stride, int64_t row) {
    return {packed + row / 2 * stride + row, 1, stride};
}

inline int64_t columns_seen(int64_t first_row) {
    return (first_row + ROWS + WIDTH - 1) / WIDTH * WIDTH;
}

inline void write_rows(const float *rows, int64_t width, bf16 *target, int64_t stride) {
    for (int64_t row = 0; row < ROWS; row++)
        write(rows + row * width, target + row * stride, width);
}

struct Shape {
    int64_t tokens, heads, width; // of a block, and of a head

    int64_t model() const { return heads * width; }
    int64_t row(int64_t pair) const { return pair / heads * tokens; }
    int64_t column(int64_t pair) const { return pair % heads * width; }
};

void forward(const bf16 *qkv, bf16 *mixed, bf16 *probabilities, Shape shape, float scale,
             int64_t first_pair, int64_t last_pair) {
    const int64_t n = shape.tokens, width = shape.width, stride = 3 * shape.model();
    std::vector<word> keys(width / 2 * n), values(n / 2 * width);
    std::vector<float> scores(ROWS * n), buffer(n), sums(ROWS * width);
    std::vector<bf16> own(probabilities ? 0 : ROWS * n);
    for (int64_t pair = first_pair; pair < last_pair; pair++) {
        const bf16 *query = qkv + shape.row(pair) * stride + shape.column(pair);
        pack_columns(query + shape.model(), stride, n, width, keys.data());
        pack_rows(query + 2 * shape.model(), stride, n, width, values.data(), width);
        for (int64_t row = 0; row < n; row += ROWS) {
            const int64_t seen = columns_seen(row);
            bf16 *shares = probabilities ? probabilities + (pair * n + row) * n : own.data();
            multiply(as_left(query + row * stride, stride), keys.data(), n, width / 2,
                     scores.data(), seen);
            for (int64_t i = 0; i < ROWS; i++)
                softmax_row(scores.data() + i * seen, buffer.data(), shares + i * n,
                            int32_t(row + i + 1), int32_t(seen), scale);
            multiply(as_left(shares, n), values.data(), width, seen / 2, sums.data(), width);
            write_rows(sums.data(), width,
                       mixed + (shape.row(pair) + row) * shape.model() + shape.column(pair),
                       shape.model());
        }
    }
}

// d score = p (d p - sum of p d p) scale, where the score is of a query and a key.
inline void softmax_row_backward(const float *d_shares, const bf16 *shares, float *buffer,
                                 bf16 *d_scores, int64_t n, float scale) {
    float along = 0.0f;
#pragma omp simd reduction(+ : along)
    for (int64_t i = 0; i < n; i++)
        along += wide(shares[i]) * d_shares[i];
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        buffer[i] = wide(shares[i]) * (d_shares[i] - along) * scale;
    write(buffer, d_scores, n);
}

void backward(const bf16 *qkv, const bf16 *probabilities, const bf16 *d_mixed, bf16 *d_qkv,
              Shape shape, float scale, int64_t first_pair, int64_t last_pair) {
    const int64_t n = shape.tokens, width = shape.width, model = shape.model();
    const int64_t stride = 3 * model;
    std::vector<word> queries(n / 2 * width), keys(n / 2 * width), values(width / 2 * n);
    std::vector<word> d_outputs(n / 2 * width), d_scores_packed(n / 2 * n), shares_packed(n / 2 * n);
    std::vector<bf16> d_scores(n * n);
    std::vector<float> d_shares(ROWS * n), buffer(n), sums(ROWS * width);
    for (int64_t pair = first_pair; pair < last_pair; pair++) {
        const bf16 *query = qkv + shape.row(pair) * stride + shape.column(pair);
        const bf16 *d_output = d_mixed + shape.row(pair) * model + shape.column(pair);
        const bf16 *shares = probabilities + pair * n * n;
        bf16 *d_query = d_qkv + shape.row(pair) * stride + shape.column(pair);
        pack_rows(query, stride, n, width, queries.data(), width);
        pack_rows(query + model, stride, n, width, keys.data(), width);
        pack_columns(query + 2 * model, stride, n, width, values.data());
        pack_rows(d_output, model, n, width, d_outputs.data(), width);
        for (int64_t row = 0; row < n; row += ROWS) {
            const int64_t seen = columns_seen(row);
            multiply(as_left(d_output + row * model, model), values.data(), n, width / 2,
                     d_shares.data(), seen);
            for (int64_t i = 0; i < ROWS; i++)
                softmax_row_backward(d_shares.data() + i * seen, shares + (row + i) * n,
                                     buffer.data(), d_scores.data() + (row + i) * n, seen, scale);
            multiply(as_left(d_scores.data() + row * n, n), keys.data(), width, seen / 2,
                     sums.data(), width);
            write_rows(sums.data(), width, d_query + row * stride, stride);
            const int64_t at = row / 2 * n;
            pack_rows(d_scores.data() + row * n, n, ROWS, seen, d_scores_packed.data() + at, n);
            pack_rows(shares + row * n, n, ROWS, seen, shares_packed.data() + at, n);
        }
        // Of a key, queries from it on; so nothing is read that was not `seen`.
        for (int64_t row = 0; row < n; row += ROWS) {
            const int64_t from = row / 2 * width, pairs = (n - row) / 2;
            multiply(transposed(d_scores_packed.data(), n, row), queries.data() + from, width,
                     pairs, sums.data(), width);
            write_rows(sums.data(), width, d_query + model + row * stride, stride);
            multiply(transposed(shares_packed.data(), n, row), d_outputs.data() + from, width,
                     pairs, sums.data(), width);
            write_rows(sums.data(), width, d_query + 2 * model + row * stride, stride);
        }
    }
}

} // namespace

extern "C" {
void attention(const bf16 *qkv, bf16 *mixed, bf16 *probabilities, int64_t tokens, int64_t heads,
               int64_t width, float scale, int64_t first_pair, int64_t last_pair) {
    forward(qkv, mixed, probabilities, {tokens, heads, width}, scale, first_pair, last_pair);
}

void attention_backward(const bf16 *qkv, const bf16 *probabilities, const bf16 *d_mixed,
                        bf16 *d_qkv, int64_t tokens, int64_t heads, int64_t width, float scale,
                        int64_t first_pair, int64_t last_pair) {
    backward(qkv, probabilities, d_mixed, d_qkv, {tokens, heads, width}, scale, first_pair,
             last_pair);
}
}

#endif
