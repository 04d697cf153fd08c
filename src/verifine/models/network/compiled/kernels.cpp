// What a decoder does between its matrix products when it only reads, on a processor: one pass over memory each, where
// torch needs an operation for each step. Everything is computed in float32 and rounded once at the end. The same in
// torch: elementwise.py, and DecodeStep for attention, of which the tests take the right values.
//
// All matrices are in row-major order; strides count elements.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace {

struct BFloat16 {
    std::uint16_t bits;
};

inline float exact(float number) { return number; }

inline float exact(BFloat16 number) {
    const std::uint32_t bits = static_cast<std::uint32_t>(number.bits) << 16;
    float result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}

template <class Number>
Number rounded(float number);

template <>
inline float rounded<float>(float number) {
    return number;
}

// To the nearest, and to the even one of two; NaN stays NaN.
template <>
inline BFloat16 rounded<BFloat16>(float number) {
    std::uint32_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    const std::uint32_t nearest = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return {static_cast<std::uint16_t>(number != number ? 0x7fc0u : nearest)};
}

// The exponential to about 1e-7 of itself, without a branch: 2^n times a polynomial of what is left.
inline float exponential(float number) {
    number = number < -87.0f ? -87.0f : number;
    number = number > 88.0f ? 88.0f : number;
    const float times = std::nearbyint(number * 1.44269504f);
    const float rest = (number - times * 0.693145752f) - times * 1.42860677e-6f;
    float sum = 1.0f / 5040;
    sum = sum * rest + 1.0f / 720;
    sum = sum * rest + 1.0f / 120;
    sum = sum * rest + 1.0f / 24;
    sum = sum * rest + 1.0f / 6;
    sum = sum * rest + 0.5f;
    sum = sum * rest + 1.0f;
    sum = sum * rest + 1.0f;
    const std::uint32_t power = static_cast<std::uint32_t>(static_cast<std::int32_t>(times) + 127) << 23;
    float scale;
    std::memcpy(&scale, &power, sizeof scale);
    return sum * scale;
}

// Fewer numbers than these are faster done by one thread than handed out.
constexpr long WORTH_SHARING = 16384;

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

// Products with weights [outputs, inputs] that are packed: of COLUMNS outputs after the other, and of each of these, two
// inputs after the other. All rows of a tile are multiplied while a panel of the weights passes by, so that few rows
// take as long as reading the weights. A row's sums are added in the same order whatever is computed with it.
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
                sum[row][vector] = _mm512_dpbf16_ps(sum[row][vector], (__m512bh)_mm512_set1_epi32(pair), factor[vector]);
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

// `finish` gets what is multiplied out: the block's first row, how many there are, and the panel's number.
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
                               const float first = gate_bias == nullptr ? gate[i] : gate[i] + exact(gate_bias[column + i]);
                               const float second = up_bias == nullptr ? up[i] : up[i] + exact(up_bias[column + i]);
                               own[i] = rounded<BFloat16>(first / (1.0f + exponential(-first)) * second);
                           }
                       });
}
#endif

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

// Asks for memory that is needed soon.
inline void fetch(const void *start, long bytes) {
    for (long byte = 0; byte < bytes; byte += 64) __builtin_prefetch(static_cast<const char *>(start) + byte);
}

// Softmax attention of the queries that share a key head, block by block of keys (arXiv:2205.14135). Heads of SIZE
// numbers are read 16 at a time; 0: of any size.
template <class Number, long SIZE>
class Attending {
   public:
    Attending(long shared, long any_size)
        : shared_(shared), any_size_(any_size), queries_(shared * any_size), sums_(shared * any_size),
          scores_(shared * BLOCK), best_(shared), totals_(shared) {}

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
            for (long i = 0; i < size(); ++i) result[head * size() + i] = rounded<Number>(sums_[head * size() + i] * factor);
        }
    }

   private:
    // Of so many heads, the sums stay in registers.
    static constexpr int MOST = SIZE == 0 ? 1 : SIZE > 64 ? 2 : 4;

    long size() const { return SIZE > 0 ? SIZE : any_size_; }

    void see_block(const Number *keys, const Number *values, long length) {
        fetch(values, length * size() * sizeof(Number));
        score(keys, length);
        for (long head = 0; head < shared_; ++head) weigh(head, length);
        for (long head = 0; head < shared_; head += MOST) {
            switch (std::min<long>(MOST, shared_ - head)) {
                case 1: add_values<1>(head, values, length); break;
                case 2: add_values<std::min(2, MOST)>(head, values, length); break;
                case 3: add_values<std::min(3, MOST)>(head, values, length); break;
                default: add_values<MOST>(head, values, length);
            }
        }
    }

    void score(const Number *keys, long length) {
        if constexpr (SIZE > 0) {
            for (long key = 0; key < length; key += WIDTH) score_some(keys + key * SIZE, key, std::min(WIDTH, length - key));
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
            const Band<Number> *bands, long count, long query_heads, long key_heads, long size, float scale, long window,
            int threads) {
    const long shared = query_heads / key_heads;
    long work = 0;
    for (long row = 0; row < count; ++row) work += (rows[row].prompt_tokens + rows[row].own_tokens + 1) * query_heads * size;
#pragma omp parallel num_threads(threads) if (work > WORTH_SHARING)
    {
        Attending<Number, SIZE> attending(shared, size);
#pragma omp for schedule(dynamic, 4)
        for (long item = 0; item < count * key_heads; ++item) {
            const long index = item / key_heads, head = item % key_heads;
            const Row &row = rows[index];
            const Band<Number> &own = bands[row.own_band];
            const long first = (row.own_place * key_heads + head) * own.tokens * size;
            const long from = window == 0 ? 0 : std::max(0L, static_cast<long>(row.prompt_tokens + row.own_tokens) + 1 - window);
            std::copy_n(keys.numbers + index * keys.stride + head * size, size, own.keys + first + row.own_tokens * size);
            std::copy_n(values.numbers + index * values.stride + head * size, size, own.values + first + row.own_tokens * size);
            fetch(own.keys + first, std::min<long>(BLOCK, row.own_tokens) * size * sizeof(Number));
            attending.begin(queries.numbers + index * queries.stride + head * shared * size, scale);
            if (from < row.prompt_tokens) {
                const Band<Number> &prompt = bands[row.prompt_band];
                const long start = ((row.prompt_place * key_heads + head) * prompt.tokens + from) * size;
                attending.see(prompt.keys + start, prompt.values + start, row.prompt_tokens - from);
            }
            const long skipped = std::max(0L, from - static_cast<long>(row.prompt_tokens)) * size;
            attending.see(own.keys + first + skipped, own.values + first + skipped, row.own_tokens + 1 - skipped / size);
            attending.end(result + (index * query_heads + head * shared) * size);
        }
    }
}

// The sum of many numbers is kept for each so many, so that a draw finds its place in two short searches.
constexpr long BIN = 256;

// How likely a token is, relative to the likeliest; nothing where it is next to impossible.
inline float weight_of(float logit, float best, float coldness) {
    const float below = (logit - best) * coldness;
    return below < -87.0f ? 0.0f : exponential(below);
}

// The first of a bin's numbers at which their running sum exceeds `rest`; the last that has a weight where rounding
// leaves none.
template <class Number>
long find_in_bin(const Number *logits, long count, double rest, float best, float coldness) {
    double running = 0;
    long last = 0;
    for (long i = 0; i < count; ++i) {
        const float weight = weight_of(exact(logits[i]), best, coldness);
        running += weight;
        if (running > rest) return i;
        if (weight > 0) last = i;
    }
    return last;
}

// A token for each draw, from the distribution of its row at a temperature (0: the likeliest, with its probability at
// temperature 1), and its log-probability.
template <class Number>
void draw(const Number *logits, long rows, long vocabulary, float temperature, const std::int64_t *row_of,
          const double *uniforms, long draws, std::int64_t *tokens, float *logprobs, int threads) {
    const float coldness = temperature == 0 ? 1.0f : 1.0f / temperature;
    const long bins = (vocabulary + BIN - 1) / BIN;
#pragma omp parallel num_threads(threads) if (rows > 1)
    {
        std::vector<double> sums(bins);
#pragma omp for schedule(dynamic)
        for (long row = 0; row < rows; ++row) {
            const Number *own = logits + row * vocabulary;
            float best = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : best)
            for (long i = 0; i < vocabulary; ++i) best = std::max(best, exact(own[i]));
            double total = 0;
            for (long bin = 0; bin < bins; ++bin) {
                const long stop = std::min(vocabulary, (bin + 1) * BIN);
                float sum = 0;
#pragma omp simd reduction(+ : sum)
                for (long i = bin * BIN; i < stop; ++i) sum += weight_of(exact(own[i]), best, coldness);
                total += sum;
                sums[bin] = total;
            }
            for (long each = 0; each < draws; ++each) {
                if (row_of[each] != row) continue;
                long token = 0;
                if (temperature == 0) {
                    while (token < vocabulary - 1 && exact(own[token]) != best) ++token;
                } else {
                    const double drawn = std::min(uniforms[each] * total, std::nextafter(total, 0.0));
                    const long bin = std::upper_bound(sums.begin(), sums.end() - 1, drawn) - sums.begin();
                    const double before = bin == 0 ? 0 : sums[bin - 1];
                    token = bin * BIN + find_in_bin(own + bin * BIN, std::min(BIN, vocabulary - bin * BIN),
                                                    drawn - before, best, coldness);
                }
                tokens[each] = token;
                logprobs[each] = static_cast<float>((exact(own[token]) - best) * coldness - std::log(total));
            }
        }
    }
}

}  // namespace

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
