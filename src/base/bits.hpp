// Bit fields and alignment.
#pragma once

#include <concepts>
#include <cstdint>

namespace strata {

template <std::unsigned_integral T = std::uint64_t>
[[nodiscard]] constexpr T bit(unsigned number) {
    return static_cast<T>(T{1} << number);
}

// Bits `high` down to `low` of `value`, as in the manuals' notation value[high:low].
[[nodiscard]] constexpr std::uint64_t bits(std::uint64_t value, unsigned high, unsigned low) {
    return (value >> low) & (~std::uint64_t{0} >> (63 - (high - low)));
}

[[nodiscard]] constexpr bool test_bit(std::uint64_t value, unsigned number) { return (value >> number) & 1; }

// `alignment` is a power of two.
[[nodiscard]] constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t alignment) {
    return value & ~(alignment - 1);
}

[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
    return align_down(value + alignment - 1, alignment);
}

} // namespace strata
