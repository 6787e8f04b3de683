// Rearrangements that XMM, YMM and MM registers share: PSHUFB, PUNPCK, PACK, the words of a quadword. SDM
// volume 2B.
#pragma once

#include "cpu/interpreter/simd/lanewise.hpp"

#include <array>
#include <bit>

namespace strata::cpu::interpreter::simd {

// Four words of a quadword.
inline std::uint64_t shuffle_quadword(std::uint64_t value, std::uint8_t order) {
    std::uint64_t result = 0;
    for (unsigned i = 0; i < 4; ++i) {
        result |= (value >> 16 * (order >> 2 * i & 3) & 0xFFFF) << 16 * i;
    }
    return result;
}

inline Block shuffle_bytes(Block a, Block b) {
    const auto bytes = std::bit_cast<std::array<std::uint8_t, 16>>(a);
    return map<std::uint8_t>([&](std::uint8_t control) { return control & 0x80 ? 0 : bytes[control & 0xF]; },
                             b);
}

template <class T>
inline Block unpack_low(Block a, Block b) {
    return rearrange<T>(a, b, [](int i) { return i / 2 + i % 2 * static_cast<int>(lane_count<T>); });
}

template <class T>
inline Block unpack_high(Block a, Block b) {
    return rearrange<T>(a, b, [](int i) {
        return (i + static_cast<int>(lane_count<T>)) / 2 + i % 2 * static_cast<int>(lane_count<T>);
    });
}

// a's lanes, then b's, each saturated to half its width.
template <class From, class To>
inline Block pack(Block a, Block b) {
    constexpr unsigned count = lane_count<From>;
    Lanes<To> result{};
    for (unsigned i = 0; i < count; ++i) {
        result[i] = saturate<To, int>(lanes<From>(a)[i]);
        result[count + i] = saturate<To, int>(lanes<From>(b)[i]);
    }
    return to_block(result);
}

} // namespace strata::cpu::interpreter::simd
