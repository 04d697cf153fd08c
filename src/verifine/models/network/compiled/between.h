// What lies between the products of a layer. The same in torch: elementwise.py.

#pragma once

#include <vector>

#include "numbers.h"

inline float reciprocal_rms(const float *row, long width, float epsilon) {
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (long i = 0; i < width; ++i) squares += row[i] * row[i];
    return 1.0f / std::sqrt(squares / static_cast<float>(width) + epsilon);
}

// hidden += added, then result = hidden / rms * gain; `added` may be null.
template <class Added, class Result>
void add_and_normalise(float *hidden, const Added *added, const float *gain, float epsilon, Result *result, long rows,
                       long width, int threads) {
#pragma omp parallel for num_threads(threads) if (rows > 1 && rows * width > WORTH_SHARING)
    for (long row = 0; row < rows; ++row) {
        float *own = hidden + row * width;
        if (added != nullptr) {
            const Added *addend = added + row * width;
#pragma omp simd
            for (long i = 0; i < width; ++i) own[i] += exact(addend[i]);
        }
        const float factor = reciprocal_rms(own, width, epsilon);
        Result *target = result + row * width;
#pragma omp simd
        for (long i = 0; i < width; ++i) target[i] = rounded<Result>(own[i] * factor * gain[i]);
    }
}

// silu(gate) * up of rows that hold the gate's numbers, then those of up.
template <class Number>
void swiglu(const Number *gate_up, Number *result, long rows, long width, int threads) {
#pragma omp parallel for num_threads(threads) if (rows > 1 && rows * width > WORTH_SHARING)
    for (long row = 0; row < rows; ++row) {
        const Number *gate = gate_up + row * 2 * width, *up = gate + width;
        Number *target = result + row * width;
#pragma omp simd
        for (long i = 0; i < width; ++i) {
            const float number = exact(gate[i]);
            target[i] = rounded<Number>(number / (1.0f + exponential(-number)) * exact(up[i]));
        }
    }
}

// Turns the first `heads` heads of each row in place: the pair (i, i + size/2) by the angle of the row's position.
// The first `query_heads` are normalised with `query_gain` before, the others with `key_gain`, unless these are null.
template <class Number>
void turn(Number *rows_, long rows, long row_stride, long query_heads, long heads, long size, const float *cosines,
          long cosine_stride, const float *sines, long sine_stride, const float *query_gain, const float *key_gain,
          float query_epsilon, float key_epsilon, int threads) {
    const long half = size / 2;
#pragma omp parallel num_threads(threads) if (rows > 1 && rows * heads * size > WORTH_SHARING)
    {
        std::vector<float> head(size);
#pragma omp for
        for (long row = 0; row < rows; ++row) {
            const float *cosine = cosines + row * cosine_stride, *sine = sines + row * sine_stride;
            for (long index = 0; index < heads; ++index) {
                Number *own = rows_ + row * row_stride + index * size;
                float *number = head.data();
#pragma omp simd
                for (long i = 0; i < size; ++i) number[i] = exact(own[i]);
                if (query_gain != nullptr) {
                    const bool is_query = index < query_heads;
                    const float *gain = is_query ? query_gain : key_gain;
                    const float factor = reciprocal_rms(number, size, is_query ? query_epsilon : key_epsilon);
#pragma omp simd
                    for (long i = 0; i < size; ++i) number[i] *= factor * gain[i];
                }
#pragma omp simd
                for (long i = 0; i < half; ++i) {
                    const float first = number[i], second = number[i + half];
                    own[i] = rounded<Number>(first * cosine[i] - second * sine[i]);
                    own[i + half] = rounded<Number>(second * cosine[i + half] + first * sine[i]);
                }
            }
        }
    }
}
