// Tokens drawn from logits. The same in torch: choose.py.

#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "numbers.h"

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
