// Products of few rows in bfloat16.

#pragma once

#include <algorithm>
#include <vector>

#include "numbers.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

// Products with weights [outputs, inputs] that are packed: of COLUMNS outputs after the other, and of each of these,
// two inputs after the other. All rows of a tile are multiplied while a panel of the weights passes by, so that few
// rows take as long as reading the weights. A row's sums are added in the same order whatever is computed with it.
constexpr long LANES = 16, VECTORS = 3, COLUMNS = LANES * VECTORS, TILE_ROWS = 8, BLOCK_ROWS = 96;

inline long panels(long outputs) { return (outputs + COLUMNS - 1) / COLUMNS; }

void pack(const BFloat16 *weight, BFloat16 *packed, long outputs, long inputs, int threads) {
#pragma omp parallel for num_threads(threads)
    for (long panel = 0; panel < panels(outputs); ++panel) {
        BFloat16 *target = packed + panel * COLUMNS * inputs;
        for (long input = 0; input < inputs; input += 2)
            for (long column = 0; column < COLUMNS; ++column)
                for (long each = 0; each < 2; ++each) {
                    const long output = panel * COLUMNS + column;
                    *target++ = output < outputs ? weight[output * inputs + input + each] : BFloat16{0};
                }
    }
}

#ifdef __AVX512BF16__
constexpr long AHEAD = 16;  // inputs that are fetched before they are needed

template <int ROWS>
void multiply_tile(const BFloat16 *rows, const BFloat16 *panel, long inputs, float *sums) {
    __m512 sum[ROWS][VECTORS];
    for (int row = 0; row < ROWS; ++row)
        for (long vector = 0; vector < VECTORS; ++vector) sum[row][vector] = _mm512_setzero_ps();
    for (long input = 0; input < inputs; input += 2) {
        const BFloat16 *weights = panel + input * COLUMNS;
        __m512bh factor[VECTORS];
        for (long vector = 0; vector < VECTORS; ++vector) {
            factor[vector] = (__m512bh)_mm512_loadu_si512(weights + vector * 2 * LANES);
            _mm_prefetch(reinterpret_cast<const char *>(weights + AHEAD * COLUMNS + vector * 2 * LANES), _MM_HINT_T0);
        }
        for (int row = 0; row < ROWS; ++row) {
            std::int32_t pair;
            std::memcpy(&pair, rows + row * inputs + input, sizeof pair);
            for (long vector = 0; vector < VECTORS; ++vector)
                sum[row][vector] =
                    _mm512_dpbf16_ps(sum[row][vector], (__m512bh)_mm512_set1_epi32(pair), factor[vector]);
        }
    }
    for (int row = 0; row < ROWS; ++row)
        for (long vector = 0; vector < VECTORS; ++vector)
            _mm512_storeu_ps(sums + row * COLUMNS + vector * LANES, sum[row][vector]);
}

// sums[rows, COLUMNS] of one panel.
void multiply_panel(const BFloat16 *rows, const BFloat16 *panel, long count, long inputs, float *sums) {
    constexpr decltype(&multiply_tile<1>) tiles[] = {multiply_tile<1>, multiply_tile<2>, multiply_tile<3>,
                                                     multiply_tile<4>, multiply_tile<5>, multiply_tile<6>,
                                                     multiply_tile<7>, multiply_tile<8>};
    for (long row = 0; row < count; row += TILE_ROWS)
        tiles[std::min(TILE_ROWS, count - row) - 1](rows + row * inputs, panel, inputs, sums + row * COLUMNS);
}

// `finish` gets the sums of a block, the row's place in it and in the result, the panel's first column, and how many
// there are.
template <int FACTORS, class Finish>
void multiply_blocks(const BFloat16 *rows, const BFloat16 *const (&packed)[FACTORS], long count, long outputs,
                     long inputs, int threads, Finish finish) {
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> sums[FACTORS];
        for (auto &each : sums) each.resize(std::min(count, BLOCK_ROWS) * COLUMNS);
        for (long first = 0; first < count; first += BLOCK_ROWS) {
            const long length = std::min(BLOCK_ROWS, count - first);
#pragma omp for schedule(static) nowait
            for (long panel = 0; panel < panels(outputs); ++panel) {
                for (int each = 0; each < FACTORS; ++each)
                    multiply_panel(rows + first * inputs, packed[each] + panel * COLUMNS * inputs, length, inputs,
                                   sums[each].data());
                const long column = panel * COLUMNS;
                for (long row = 0; row < length; ++row)
                    finish(sums, row, first + row, column, std::min(COLUMNS, outputs - column));
            }
        }
    }
}

void multiply(const BFloat16 *rows, const BFloat16 *packed, const BFloat16 *bias, BFloat16 *result, long count,
              long outputs, long inputs, int threads) {
    multiply_blocks<1>(rows, {packed}, count, outputs, inputs, threads,
                       [=](const std::vector<float> *sums, long row, long target, long column, long length) {
                           const float *sum = sums[0].data() + row * COLUMNS;
                           BFloat16 *own = result + target * outputs + column;
                           if (bias == nullptr) {
#pragma omp simd
                               for (long i = 0; i < length; ++i) own[i] = rounded<BFloat16>(sum[i]);
                           } else {
#pragma omp simd
                               for (long i = 0; i < length; ++i)
                                   own[i] = rounded<BFloat16>(sum[i] + exact(bias[column + i]));
                           }
                       });
}

// silu(gate) * up, both of which are products.
void multiply_gated(const BFloat16 *rows, const BFloat16 *packed_gate, const BFloat16 *packed_up,
                    const BFloat16 *gate_bias, const BFloat16 *up_bias, BFloat16 *result, long count, long outputs,
                    long inputs, int threads) {
    multiply_blocks<2>(rows, {packed_gate, packed_up}, count, outputs, inputs, threads,
                       [=](const std::vector<float> *sums, long row, long target, long column, long length) {
                           const float *gate = sums[0].data() + row * COLUMNS, *up = sums[1].data() + row * COLUMNS;
                           BFloat16 *own = result + target * outputs + column;
#pragma omp simd
                           for (long i = 0; i < length; ++i) {
                               const float first =
                                   gate_bias == nullptr ? gate[i] : gate[i] + exact(gate_bias[column + i]);
                               const float second = up_bias == nullptr ? up[i] : up[i] + exact(up_bias[column + i]);
                               own[i] = rounded<BFloat16>(first / (1.0f + exponential(-first)) * second);
                           }
                       });
}
#endif
