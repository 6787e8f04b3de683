// 3DNow!'s arithmetic on single-precision numbers, in integers: rounded to nearest, with denormals and
// underflow as zero, overflow as the largest number, and neither exceptions nor NaNs nor infinities. AMD
// 3DNow! Technology Manual (21928); APM volume 1 section 5.5.6, volume 5 by instruction.
#pragma once

#include <cstdint>

namespace strata::cpu::interpreter::three_d_now {

// significand * 2^exponent. Where a result is inexact its lowest bit is set, far below those that pack()
// keeps.
struct Number {
    bool negative = false;
    int exponent = 0;
    std::uint64_t significand = 0;
};

// A number as big as can be, for pack() to bring into range.
inline constexpr int beyond_range = 1000;

// Infinities and NaNs, which the architecture leaves undefined, count as the largest number of their sign.
[[nodiscard]] Number unpack(std::uint32_t bits);
[[nodiscard]] std::uint32_t pack(const Number& number);

[[nodiscard]] Number negate(Number number);
// Exact zero has the sign of the larger operand, of `a` if they are equal; the sum of zeros is negative if
// both are.
[[nodiscard]] Number add(const Number& a, const Number& b);
// Of significands below 2^32.
[[nodiscard]] Number multiply(const Number& a, const Number& b);
// Of unpacked numbers. The reciprocals of 0 are beyond range.
[[nodiscard]] Number reciprocal(const Number& number);
[[nodiscard]] Number reciprocal_square_root(const Number& number); // of the magnitude, with the sign

// To integers, towards zero, saturated to `bits` bits; from integers, cut off after 24 bits.
[[nodiscard]] std::int32_t to_integer(const Number& number, unsigned bits);
[[nodiscard]] Number from_integer(std::int32_t integer);

// An integer that orders numbers as their values do; denormals and zeros are 0.
[[nodiscard]] std::int32_t rank(std::uint32_t bits);

} // namespace strata::cpu::interpreter::three_d_now
