// What a decoder does on a processor when it only reads, in one pass over memory each, where torch needs an operation
// for each step. All matrices are in row-major order; strides count numbers. Pointers are trusted: kernels.py checks
// them.

#include "attention.h"
#include "between.h"
#include "draws.h"
#include "products.h"

#define FOR_TYPE(NAME, Number)                                                                                        \
    void add_and_normalise_##NAME(float *hidden, const Number *added, const float *gain, float epsilon,               \
                                  Number *result, long rows, long width, int threads) {                               \
        add_and_normalise(hidden, added, gain, epsilon, result, rows, width, threads);                                \
    }                                                                                                                 \
    void add_and_finish_##NAME(float *hidden, const Number *added, const float *gain, float epsilon, float *result,   \
                               long rows, long width, int threads) {                                                  \
        add_and_normalise(hidden, added, gain, epsilon, result, rows, width, threads);                                \
    }                                                                                                                 \
    void draw_##NAME(const Number *logits, long rows, long vocabulary, float temperature, const std::int64_t *row_of, \
                     const double *uniforms, long draws, std::int64_t *tokens, float *logprobs, int threads) {        \
        draw(logits, rows, vocabulary, temperature, row_of, uniforms, draws, tokens, logprobs, threads);              \
    }                                                                                                                 \
    void swiglu_##NAME(const Number *gate_up, Number *result, long rows, long width, int threads) {                   \
        swiglu(gate_up, result, rows, width, threads);                                                                \
    }                                                                                                                 \
    void turn_##NAME(Number *numbers, long rows, long stride, long query_heads, long heads, long size,                \
                     const float *cosines, long cosine_stride, const float *sines, long sine_stride,                  \
                     const float *query_gain, const float *key_gain, float query_epsilon, float key_epsilon,          \
                     int threads) {                                                                                   \
        turn(numbers, rows, stride, query_heads, heads, size, cosines, cosine_stride, sines, sine_stride, query_gain, \
             key_gain, query_epsilon, key_epsilon, threads);                                                          \
    }                                                                                                                 \
    void attend_##NAME(const Number *queries, long query_stride, const Number *keys, long key_stride,                 \
                       const Number *values, long value_stride, Number *result, const Row *rows, const void *bands,   \
                       long count, long query_heads, long key_heads, long size, float scale, long window,             \
                       int threads) {                                                                                 \
        const auto run = size == 64 ? attend<Number, 64> : size == 128 ? attend<Number, 128> : attend<Number, 0>;     \
        run({queries, query_stride}, {keys, key_stride}, {values, value_stride}, result, rows,                        \
            static_cast<const Band<Number> *>(bands), count, query_heads, key_heads, size, scale, window, threads);   \
    }

extern "C" {
FOR_TYPE(float32, float)
FOR_TYPE(bfloat16, BFloat16)

void pack_bfloat16(const BFloat16 *weight, BFloat16 *packed, long outputs, long inputs, int threads) {
    pack(weight, packed, outputs, inputs, threads);
}

// The numbers of a packed weight; 0: this processor has no instruction for such products.
long packed_size(long outputs, long inputs) {
#ifdef __AVX512BF16__
    return inputs % 2 == 0 ? panels(outputs) * COLUMNS * inputs : 0;
#else
    return outputs * inputs * 0;
#endif
}

#ifdef __AVX512BF16__
void multiply_bfloat16(const BFloat16 *rows, const BFloat16 *packed, const BFloat16 *bias, BFloat16 *result, long count,
                       long outputs, long inputs, int threads) {
    multiply(rows, packed, bias, result, count, outputs, inputs, threads);
}

void multiply_gated_bfloat16(const BFloat16 *rows, const BFloat16 *packed_gate, const BFloat16 *packed_up,
                             const BFloat16 *gate_bias, const BFloat16 *up_bias, BFloat16 *result, long count,
                             long outputs, long inputs, int threads) {
    multiply_gated(rows, packed_gate, packed_up, gate_bias, up_bias, result, count, outputs, inputs, threads);
}
#endif
}
