// Packed integer arithmetic on blocks, for XMM, YMM and, in their lower halves, MM registers: PADD, PSUB,
// PMUL, PMADD, PAVG, PMIN, PMAX, PABS, PSIGN and their kin. SDM volume 2B, by instruction.
#pragma once

#include "cpu/interpreter/simd/lanewise.hpp"

#include <cstdlib>

namespace strata::cpu::interpreter::simd {

template <class T>
inline Block add(Block a, Block b) {
    return to_block(lanes<T>(a) + lanes<T>(b));
}

template <class T>
inline Block sub(Block a, Block b) {
    return to_block(lanes<T>(a) - lanes<T>(b));
}

template <class T>
inline Block add_saturated(Block a, Block b) {
    return map<T>([](int x, int y) { return saturate<T>(x + y); }, a, b);
}

template <class T>
inline Block sub_saturated(Block a, Block b) {
    return map<T>([](int x, int y) { return saturate<T>(x - y); }, a, b);
}

template <class T>
inline Block average(Block a, Block b) {
    return map<T>([](unsigned x, unsigned y) { return (x + y + 1) >> 1; }, a, b);
}

template <class T>
inline Block minimum(Block a, Block b) {
    return map<T>([](T x, T y) { return std::min(x, y); }, a, b);
}

template <class T>
inline Block maximum(Block a, Block b) {
    return map<T>([](T x, T y) { return std::max(x, y); }, a, b);
}

template <class T>
inline Block absolute(Block a) {
    const Block negative = sign_mask<T>(a);
    return sub<std::make_unsigned_t<T>>(a ^ negative, negative);
}

// PSIGN: b's sign applied to a; 0 where b is 0.
template <class T>
inline Block apply_sign(Block a, Block b) {
    const Block negative = sign_mask<T>(b);
    return sub<std::make_unsigned_t<T>>(a ^ negative, negative) & ~equal<T>(b, Block{});
}

template <class T>
inline Block multiply_low(Block a, Block b) {
    return to_block(lanes<T>(a) * lanes<T>(b));
}

// The upper half of 16-bit products.
template <class T>
inline Block multiply_high(Block a, Block b) {
    using Product = std::conditional_t<std::is_signed_v<T>, int, unsigned>;
    return map<T>([](Product x, Product y) { return (x * y) >> 16; }, a, b);
}

inline Block multiply_high_rounded(Block a, Block b) {
    return map<std::int16_t>([](int x, int y) { return (((x * y) >> 14) + 1) >> 1; }, a, b);
}

// 64-bit products of the even 32-bit lanes.
inline Block multiply_even_unsigned(Block a, Block b) { return (a & 0xFFFF'FFFF) * (b & 0xFFFF'FFFF); }

inline Block multiply_even_signed(Block a, Block b) {
    return map<std::uint64_t>(
        [](std::uint64_t x, std::uint64_t y) {
            return std::int64_t{static_cast<std::int32_t>(x)} * static_cast<std::int32_t>(y);
        },
        a, b);
}

// PMADDWD: sums of adjacent products. Only 4 times (-32768)^2 reaches the sign bit, and wraps.
inline Block multiply_add_words(Block a, Block b) {
    return map<std::uint32_t>(
        [](std::uint32_t x, std::uint32_t y) {
            const int low = static_cast<std::int16_t>(x) * static_cast<std::int16_t>(y);
            const int high = static_cast<std::int16_t>(x >> 16) * static_cast<std::int16_t>(y >> 16);
            return static_cast<std::uint32_t>(low) + static_cast<std::uint32_t>(high);
        },
        a, b);
}

// PMADDUBSW: a unsigned, b signed, sums saturated.
inline Block multiply_add_bytes(Block a, Block b) {
    return map<std::uint16_t>(
        [](unsigned x, unsigned y) {
            const int low = static_cast<std::uint8_t>(x) * static_cast<std::int8_t>(y);
            const int high = static_cast<std::uint8_t>(x >> 8) * static_cast<std::int8_t>(y >> 8);
            return saturate<std::int16_t>(low + high);
        },
        a, b);
}

// PSADBW: the sum of absolute differences of each half.
inline Block sum_of_differences(Block a, Block b) {
    const auto x = lanes<std::uint8_t>(a), y = lanes<std::uint8_t>(b);
    Block result{};
    for (unsigned half = 0; half < 2; ++half) {
        int sum = 0;
        for (unsigned i = 0; i < 8; ++i) {
            sum += std::abs(x[half * 8 + i] - y[half * 8 + i]);
        }
        result[half] = static_cast<std::uint64_t>(sum);
    }
    return result;
}

// MPSADBW: eight sums of four absolute differences, b's quadruple against a's at eight offsets.
inline Block multiple_sums_of_differences(Block a, Block b, std::uint8_t control) {
    const auto x = lanes<std::uint8_t>(a), y = lanes<std::uint8_t>(b);
    const unsigned from_a = (control >> 2 & 1) * 4, from_b = (control & 3) * 4;
    Lanes<std::uint16_t> result{};
    for (unsigned i = 0; i < 8; ++i) {
        int sum = 0;
        for (unsigned j = 0; j < 4; ++j) {
            sum += std::abs(x[from_a + i + j] - y[from_b + j]);
        }
        result[i] = static_cast<std::uint16_t>(sum);
    }
    return to_block(result);
}

// PHADD, PHSUB: combines adjacent lanes, a's pairs below b's.
template <class T, class Combine>
inline Block horizontal(Combine combine, Block a, Block b) {
    constexpr unsigned half = lane_count<T> / 2;
    Lanes<T> result{};
    for (unsigned i = 0; i < half; ++i) {
        result[i] = static_cast<T>(combine(lanes<T>(a)[2 * i], lanes<T>(a)[2 * i + 1]));
        result[half + i] = static_cast<T>(combine(lanes<T>(b)[2 * i], lanes<T>(b)[2 * i + 1]));
    }
    return to_block(result);
}

template <class T>
inline Block horizontal_add(Block a, Block b) {
    return horizontal<T>([](T x, T y) { return x + y; }, a, b);
}

template <class T>
inline Block horizontal_sub(Block a, Block b) {
    return horizontal<T>([](T x, T y) { return x - y; }, a, b);
}

inline Block horizontal_add_saturated(Block a, Block b) {
    return horizontal<std::int16_t>([](int x, int y) { return saturate<std::int16_t>(x + y); }, a, b);
}

inline Block horizontal_sub_saturated(Block a, Block b) {
    return horizontal<std::int16_t>([](int x, int y) { return saturate<std::int16_t>(x - y); }, a, b);
}

// PHMINPOSUW: the smallest word and where it is.
inline Block horizontal_minimum(Block a) {
    const auto words = lanes<std::uint16_t>(a);
    unsigned position = 0;
    for (unsigned i = 1; i < 8; ++i) {
        if (words[i] < words[position]) {
            position = i;
        }
    }
    return Block{words[position] | std::uint64_t{position} << 16};
}

} // namespace strata::cpu::interpreter::simd
