// Attention of one new token for each row, as decoding needs it. The same in torch: DecodeStep.

#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "numbers.h"

// Where a row's keys and values are, in the order of `row_table` in kernels.py.
struct Row {
    std::int64_t own_band, own_place, own_tokens, prompt_band, prompt_place, prompt_tokens;
};

// Keys and values of one layer: [places, key heads, tokens, size] each.
template <class Number>
struct Band {
    Number *keys, *values;
    std::int64_t tokens;
};

// 16 numbers, in as many registers as the processor needs for them.
typedef float Vector __attribute__((vector_size(64)));
constexpr long WIDTH = 16;

inline Vector load(const float *numbers) {
    Vector result;
    std::memcpy(&result, numbers, sizeof result);
    return result;
}

inline Vector load(const BFloat16 *numbers) {
    typedef std::uint16_t Halves __attribute__((vector_size(32)));
    typedef std::uint32_t Words __attribute__((vector_size(64)));
    Halves halves;
    std::memcpy(&halves, numbers, sizeof halves);
    const Words words = __builtin_convertvector(halves, Words) << 16;
    Vector result;
    std::memcpy(&result, &words, sizeof result);
    return result;
}

// Neighbours added: those of the first vector, then those of the second.
inline Vector add_neighbours(Vector first, Vector second) {
    typedef std::int32_t Places __attribute__((vector_size(64)));
    constexpr Places even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
    return __builtin_shuffle(first, second, even) + __builtin_shuffle(first, second, even + 1);
}

// The sum of each of 16 vectors.
inline Vector sums_of(Vector (&vectors)[WIDTH]) {
    for (long count = WIDTH / 2; count > 0; count /= 2)
        for (long i = 0; i < count; ++i) vectors[i] = add_neighbours(vectors[2 * i], vectors[2 * i + 1]);
    return vectors[0];
}

constexpr long BLOCK = 64;

// Softmax attention of the queries that share a key head, block by block of keys (arXiv:2205.14135). Heads of SIZE
// numbers are read 16 at a time; 0: of any size.
template <class Number, long SIZE>
class Attending {
 public:
    Attending(long shared, long any_size)
        : shared_(shared),
          any_size_(any_size),
          queries_(shared * any_size),
          sums_(shared * any_size),
          scores_(shared * BLOCK),
          best_(shared),
          totals_(shared) {}

    void begin(const Number *query, float scale) {
        for (long i = 0; i < shared_ * size(); ++i) queries_[i] = exact(query[i]) * scale;
        std::fill(sums_.begin(), sums_.end(), 0.0f);
        std::fill(best_.begin(), best_.end(), -std::numeric_limits<float>::infinity());
        std::fill(totals_.begin(), totals_.end(), 0.0f);
    }

    void see(const Number *keys, const Number *values, long count) {
        for (long start = 0; start < count; start += BLOCK) {
            const long length = std::min(BLOCK, count - start);
            see_block(keys + start * size(), values + start * size(), length);
        }
    }

    void end(Number *result) const {
        for (long head = 0; head < shared_; ++head) {
            const float factor = 1.0f / totals_[head];
            for (long i = 0; i < size(); ++i)
                result[head * size() + i] = rounded<Number>(sums_[head * size() + i] * factor);
        }
    }

 private:
    // Of so many heads, the sums stay in registers.
    static constexpr int MOST = SIZE == 0 ? 1 : SIZE > 64 ? 2 : 4;

    long size() const { return SIZE > 0 ? SIZE : any_size_; }

    void see_block(const Number *keys, const Number *values, long length) {
        score(keys, length);
        for (long head = 0; head < shared_; ++head) weigh(head, length);
        for (long head = 0; head < shared_; head += MOST) {
            switch (std::min<long>(MOST, shared_ - head)) {
                case 1:
                    add_values<1>(head, values, length);
                    break;
                case 2:
                    add_values<std::min(2, MOST)>(head, values, length);
                    break;
                case 3:
                    add_values<std::min(3, MOST)>(head, values, length);
                    break;
                default:
                    add_values<MOST>(head, values, length);
            }
        }
    }

    void score(const Number *keys, long length) {
        if constexpr (SIZE > 0) {
            for (long key = 0; key < length; key += WIDTH)
                score_some(keys + key * SIZE, key, std::min(WIDTH, length - key));
        } else {
            for (long key = 0; key < length; ++key)
                for (long head = 0; head < shared_; ++head) {
                    const Number *own = keys + key * any_size_;
                    const float *query = queries_.data() + head * any_size_;
                    float along = 0;
#pragma omp simd reduction(+ : along)
                    for (long i = 0; i < any_size_; ++i) along += query[i] * exact(own[i]);
                    scores_[head * BLOCK + key] = along;
                }
        }
    }

    // Of at most WIDTH keys, whose scores are written from `first` on.
    void score_some(const Number *keys, long first, long count) {
        constexpr long VECTORS = SIZE > 0 ? SIZE / WIDTH : 1;
        Vector numbers[WIDTH][VECTORS];
        for (long key = 0; key < count; ++key)
            for (long i = 0; i < VECTORS; ++i) numbers[key][i] = load(keys + key * SIZE + i * WIDTH);
        for (long head = 0; head < shared_; ++head) {
            Vector query[VECTORS], along[WIDTH] = {};
            for (long i = 0; i < VECTORS; ++i) query[i] = load(queries_.data() + head * SIZE + i * WIDTH);
            for (long key = 0; key < count; ++key) {
                along[key] = query[0] * numbers[key][0];
                for (long i = 1; i < VECTORS; ++i) along[key] += query[i] * numbers[key][i];
            }
            const Vector scores = sums_of(along);
            std::memcpy(scores_.data() + head * BLOCK + first, &scores, count * sizeof(float));
        }
    }

    // Makes weights of scores, relative to the best so far, and brings what was summed before to the same measure.
    void weigh(long head, long length) {
        float *scores = scores_.data() + head * BLOCK, *sums = sums_.data() + head * size();
        float best = best_[head];
#pragma omp simd reduction(max : best)
        for (long key = 0; key < length; ++key) best = std::max(best, scores[key]);
        const float kept = exponential(best_[head] - best);
        best_[head] = best;
        float total = 0;
#pragma omp simd reduction(+ : total)
        for (long key = 0; key < length; ++key) {
            scores[key] = exponential(scores[key] - best);
            total += scores[key];
        }
        totals_[head] = totals_[head] * kept + total;
#pragma omp simd
        for (long i = 0; i < size(); ++i) sums[i] *= kept;
    }

    template <int HEADS>
    void add_values(long first, const Number *values, long length) {
        const float *weights = scores_.data() + first * BLOCK;
        float *sums = sums_.data() + first * size();
        if constexpr (SIZE > 0) {
            Vector added[HEADS][SIZE / WIDTH];
            for (int head = 0; head < HEADS; ++head)
                for (long i = 0; i < SIZE / WIDTH; ++i) added[head][i] = load(sums + head * SIZE + i * WIDTH);
            for (long key = 0; key < length; ++key)
                for (long i = 0; i < SIZE / WIDTH; ++i) {
                    const Vector numbers = load(values + key * SIZE + i * WIDTH);
                    for (int head = 0; head < HEADS; ++head) added[head][i] += weights[head * BLOCK + key] * numbers;
                }
            std::memcpy(sums, added, sizeof added);
        } else {
            for (long key = 0; key < length; ++key) {
                const Number *own = values + key * any_size_;
#pragma omp simd
                for (long i = 0; i < any_size_; ++i) sums[i] += weights[key] * exact(own[i]);
            }
        }
    }

    long shared_, any_size_;
    std::vector<float> queries_, sums_, scores_, best_, totals_;
};

// The numbers of some heads: those of a row lie side by side, and rows are `stride` apart.
template <class Number>
struct Heads {
    const Number *numbers;
    long stride;
};

// One new token for each row: appends its key and value to the row's own, and attends to the prompt's and the row's.
// A query sees `window` positions back, its own included; 0: all of them.
template <class Number, long SIZE>
void attend(Heads<Number> queries, Heads<Number> keys, Heads<Number> values, Number *result, const Row *rows,
            const Band<Number> *bands, long count, long query_heads, long key_heads, long size, float scale,
            long window, int threads) {
    const long shared = query_heads / key_heads;
    long work = 0;
    for (long row = 0; row < count; ++row)
        work += (rows[row].prompt_tokens + rows[row].own_tokens + 1) * query_heads * size;
#pragma omp parallel num_threads(threads) if (work > WORTH_SHARING)
    {
        Attending<Number, SIZE> attending(shared, size);
#pragma omp for schedule(dynamic, 4)
        for (long item = 0; item < count * key_heads; ++item) {
            const long index = item / key_heads, head = item % key_heads;
            const Row &row = rows[index];
            const Band<Number> &own = bands[row.own_band];
            const long first = (row.own_place * key_heads + head) * own.tokens * size;
            const long from =
                window == 0 ? 0 : std::max(0L, static_cast<long>(row.prompt_tokens + row.own_tokens) + 1 - window);
            std::copy_n(keys.numbers + index * keys.stride + head * size, size,
                        own.keys + first + row.own_tokens * size);
            std::copy_n(values.numbers + index * values.stride + head * size, size,
                        own.values + first + row.own_tokens * size);
            attending.begin(queries.numbers + index * queries.stride + head * shared * size, scale);
            if (from < row.prompt_tokens) {
                const Band<Number> &prompt = bands[row.prompt_band];
                const long start = ((row.prompt_place * key_heads + head) * prompt.tokens + from) * size;
                attending.see(prompt.keys + start, prompt.values + start, row.prompt_tokens - from);
            }
            const long skipped = std::max(0L, from - static_cast<long>(row.prompt_tokens)) * size;
            attending.see(own.keys + first + skipped, own.values + first + skipped,
                          row.own_tokens + 1 - skipped / size);
            attending.end(result + (index * query_heads + head * shared) * size);
        }
    }
}
