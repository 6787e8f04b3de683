// A block: 128 bits of a vector register, the unit in which SIMD instructions are defined (AVX works on two
// of them side by side), and its views as lanes.
#pragma once

#include <bit>
#include <cstdint>

namespace strata::cpu::x86 {

template <class T>
struct LanesOf {
    typedef T type __attribute__((vector_size(16))); // the attribute needs a typedef
};

// 16 / sizeof(T) lanes of T, lane 0 lowest; arithmetic and comparisons work lane by lane.
template <class T>
using Lanes = typename LanesOf<T>::type;

using Block = Lanes<std::uint64_t>;

template <class T>
inline constexpr unsigned lane_count = 16 / sizeof(T);

template <class T>
[[nodiscard]] constexpr Lanes<T> lanes(Block block) {
    return std::bit_cast<Lanes<T>>(block);
}

template <class V>
[[nodiscard]] constexpr Block to_block(V lanes) {
    return std::bit_cast<Block>(lanes);
}

// A block whose lowest lane is `value`, the rest zero.
template <class T>
[[nodiscard]] constexpr Block low_lane(T value) {
    return to_block(Lanes<T>{value});
}

} // namespace strata::cpu::x86
