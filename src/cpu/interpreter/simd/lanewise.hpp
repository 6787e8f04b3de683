// Operations on blocks made from operations on lanes. Written as loops over subscripts, which both compilers
// turn into the host's vector instructions where there are any.
#pragma once

#include "cpu/x86/block.hpp"

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

namespace strata::cpu::interpreter::simd {

using x86::Block;
using x86::lane_count;
using x86::Lanes;
using x86::lanes;
using x86::to_block;

// result[i] = operation(a[i], ...)
template <class T, class Operation, std::same_as<Block>... Blocks>
[[nodiscard]] inline Block map(Operation operation, Blocks... operands) {
    Lanes<T> result{};
    for (unsigned i = 0; i < lane_count<T>; ++i) {
        result[i] = static_cast<T>(operation(lanes<T>(operands)[i]...));
    }
    return to_block(result);
}

// The nearest number that T can express.
template <std::integral T, std::signed_integral From>
[[nodiscard]] constexpr T saturate(From value) {
    using Limits = std::numeric_limits<T>;
    return static_cast<T>(std::clamp<From>(value, Limits::min(), Limits::max()));
}

template <std::integral T>
[[nodiscard]] inline Block equal(Block a, Block b) {
    return to_block(lanes<T>(a) == lanes<T>(b));
}

template <std::integral T>
[[nodiscard]] inline Block greater(Block a, Block b) {
    return to_block(lanes<T>(a) > lanes<T>(b));
}

[[nodiscard]] inline Block and_(Block a, Block b) { return a & b; }

[[nodiscard]] inline Block and_not(Block a, Block b) { return ~a & b; }

[[nodiscard]] inline Block or_(Block a, Block b) { return a | b; }

[[nodiscard]] inline Block xor_(Block a, Block b) { return a ^ b; }

// Takes b's bits where the mask has ones, else a's.
[[nodiscard]] inline Block blend(Block a, Block b, Block mask) { return (b & mask) | (a & ~mask); }

// All ones in each lane of T whose sign bit is set.
template <std::signed_integral T>
[[nodiscard]] inline Block sign_mask(Block value) {
    return to_block(lanes<T>(value) < Lanes<T>{});
}

// All ones in each lane of T whose bit in `bits` is set.
template <std::unsigned_integral T>
[[nodiscard]] inline Block lane_mask(unsigned bits) {
    Lanes<T> mask{};
    for (unsigned i = 0; i < lane_count<T>; ++i) {
        mask[i] = static_cast<T>(-static_cast<T>(bits >> i & 1));
    }
    return to_block(mask);
}

// result[i] is lane index(i) of a and b taken together, b's numbers following a's.
template <class T, class Index>
[[nodiscard]] inline Block rearrange(Block a, Block b, Index) {
    return [&]<int... i>(std::integer_sequence<int, i...>) {
        return to_block(__builtin_shufflevector(lanes<T>(a), lanes<T>(b), Index{}(i)...));
    }(std::make_integer_sequence<int, lane_count<T>>{});
}

// The sign bits of the lanes of T, lane 0's lowest.
template <std::integral T>
[[nodiscard]] inline unsigned sign_bits(Block value) {
    unsigned result = 0;
    for (unsigned i = 0; i < lane_count<T>; ++i) {
        result |= static_cast<unsigned>(lanes<std::make_unsigned_t<T>>(value)[i] >> (sizeof(T) * 8 - 1)) << i;
    }
    return result;
}

} // namespace strata::cpu::interpreter::simd
