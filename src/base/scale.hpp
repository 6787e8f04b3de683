// Products and quotients whose intermediate value needs 128 bits: conversions between rates of clocks.
#pragma once

#include <cstdint>
#include <limits>

namespace strata {

__extension__ using Uint128 = unsigned __int128;

// value * multiplier / divisor, rounded down; the largest value when the result does not fit.
[[nodiscard]] constexpr std::uint64_t mul_div(std::uint64_t value, std::uint64_t multiplier,
                                              std::uint64_t divisor) {
    const Uint128 result = Uint128{value} * multiplier / divisor;
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    return result > most ? most : static_cast<std::uint64_t>(result);
}

// Likewise, rounded up.
[[nodiscard]] constexpr std::uint64_t mul_div_up(std::uint64_t value, std::uint64_t multiplier,
                                                 std::uint64_t divisor) {
    const Uint128 result = (Uint128{value} * multiplier + (divisor - 1)) / divisor;
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    return result > most ? most : static_cast<std::uint64_t>(result);
}

} // namespace strata
