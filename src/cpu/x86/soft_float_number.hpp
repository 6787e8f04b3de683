// The parts of soft_float: formats, numbers taken apart, and the rounding that puts them together again.
#pragma once

#include "cpu/x86/soft_float.hpp"

#include <bit>
#include <cstdint>

namespace strata::cpu::x86::soft_float {

__extension__ typedef unsigned __int128 Wide;

// precision counts the implicit bit; an exponent is that of the leading bit.
template <class Bits>
struct Format;

template <>
struct Format<std::uint16_t> {
    static constexpr int precision = 11, min_exponent = -14, max_exponent = 15;
};

template <>
struct Format<std::uint32_t> {
    static constexpr int precision = 24, min_exponent = -126, max_exponent = 127;
};

template <>
struct Format<std::uint64_t> {
    static constexpr int precision = 53, min_exponent = -1022, max_exponent = 1023;
};

template <class Bits>
inline constexpr Bits sign_bit = static_cast<Bits>(Bits{1} << (sizeof(Bits) * 8 - 1));
template <class Bits>
inline constexpr Bits implicit_bit = static_cast<Bits>(Bits{1} << (Format<Bits>::precision - 1));
template <class Bits>
inline constexpr Bits infinity =
    static_cast<Bits>(static_cast<Bits>(sign_bit<Bits> - 1) & ~(implicit_bit<Bits> - 1));
template <class Bits>
inline constexpr Bits quiet_bit = static_cast<Bits>(implicit_bit<Bits> >> 1);
template <class Bits>
inline constexpr Bits default_nan = static_cast<Bits>(sign_bit<Bits> | infinity<Bits> | quiet_bit<Bits>);

template <class Bits>
[[nodiscard]] constexpr bool is_negative(Bits x) {
    return (x & sign_bit<Bits>) != 0;
}

template <class Bits>
[[nodiscard]] constexpr Bits magnitude(Bits x) {
    return static_cast<Bits>(x & ~sign_bit<Bits>);
}

template <class Bits>
[[nodiscard]] constexpr bool is_nan(Bits x) {
    return magnitude(x) > infinity<Bits>;
}

template <class Bits>
[[nodiscard]] constexpr bool is_signaling(Bits x) {
    return is_nan(x) && !(x & quiet_bit<Bits>);
}

template <class Bits>
[[nodiscard]] constexpr bool is_infinite(Bits x) {
    return magnitude(x) == infinity<Bits>;
}

template <class Bits>
[[nodiscard]] constexpr bool is_denormal(Bits x) {
    return magnitude(x) != 0 && magnitude(x) < implicit_bit<Bits>;
}

// The operand as arithmetic sees it under DAZ.
template <class Bits>
[[nodiscard]] constexpr Bits flush_operand(Bits x, std::uint32_t mxcsr) {
    return (mxcsr & mxcsr::denormals_are_zero) && is_denormal(x) ? static_cast<Bits>(x & sign_bit<Bits>) : x;
}

// A finite number: significand * 2^exponent, of any scale. The lowest bit may stand for all that is below it
// (sticky), provided that many bits lie between it and the precision rounded to.
struct Number {
    bool negative = false;
    int exponent = 0;
    Wide significand = 0;
};

template <class Bits>
[[nodiscard]] constexpr Number take_apart(Bits x) {
    constexpr int precision = Format<Bits>::precision;
    const Bits fraction = static_cast<Bits>(x & (implicit_bit<Bits> - 1));
    const int biased = static_cast<int>(magnitude(x) >> (precision - 1));
    constexpr int scale = Format<Bits>::min_exponent - (precision - 1);
    if (biased == 0) {
        return {is_negative(x), scale, fraction};
    }
    return {is_negative(x), scale + biased - 1, static_cast<Wide>(fraction | implicit_bit<Bits>)};
}

// Moves the leading bit to bit 127 - `headroom`; the number is not zero.
void normalize(Number& number, int headroom);

// Shifts right by `count` >= 0, keeping the sticky bit.
[[nodiscard]] Wide shift_right_sticky(Wide value, int count);

// Whether rounding `negative` numbers in `mode` goes up in magnitude, given the bits that are lost,
// left-aligned (bit 127 is worth half a unit), and whether what stays is odd.
[[nodiscard]] bool rounds_away(mxcsr::Rounding mode, bool negative, bool odd, Wide lost);

// The number in the format of Bits, by the rounding mode given, and FTZ and masks of `mxcsr`.
template <class Bits>
[[nodiscard]] Result<Bits> round(Number number, mxcsr::Rounding mode, std::uint32_t mxcsr);

} // namespace strata::cpu::x86::soft_float
