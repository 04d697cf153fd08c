// Numbers as the kernels read and write them: computed with in float32, rounded once at the end.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

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
