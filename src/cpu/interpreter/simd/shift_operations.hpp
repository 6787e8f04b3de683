// Packed shifts of blocks by one count for all lanes, or by whole bytes. SDM volume 2B, PSLLW and following.
#pragma once

#include "cpu/interpreter/simd/lanewise.hpp"

#include <algorithm>

namespace strata::cpu::interpreter::simd {

template <class T>
inline Block shift_left(Block a, std::uint64_t count) {
    return count < width_of<T> ? to_block(lanes<T>(a) << static_cast<T>(count)) : Block{};
}

template <class T>
inline Block shift_right(Block a, std::uint64_t count) {
    return count < width_of<T> ? to_block(lanes<T>(a) >> static_cast<T>(count)) : Block{};
}

// T is signed.
template <class T>
inline Block shift_right_arithmetic(Block a, std::uint64_t count) {
    return to_block(lanes<T>(a) >> static_cast<T>(std::min<std::uint64_t>(count, width_of<T> - 1)));
}

__extension__ typedef unsigned __int128 Wide;

inline Block shift_bytes_left(Block a, std::uint64_t count) {
    return count < 16 ? std::bit_cast<Block>(std::bit_cast<Wide>(a) << (count * 8)) : Block{};
}

inline Block shift_bytes_right(Block a, std::uint64_t count) {
    return count < 16 ? std::bit_cast<Block>(std::bit_cast<Wide>(a) >> (count * 8)) : Block{};
}

using Shift = Block (*)(Block, std::uint64_t);

} // namespace strata::cpu::interpreter::simd
