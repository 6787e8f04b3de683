#include "cpu/interpreter/three_d_now/number.hpp"

#include <bit>
#include <limits>
#include <utility>

namespace strata::cpu::interpreter::three_d_now {

namespace {

constexpr unsigned fraction_bits = 23, precision = 24;
constexpr std::uint32_t sign_bit = 0x8000'0000, largest_magnitude = 0x7F7F'FFFF,
                        smallest_normal = 0x0080'0000;
constexpr int exponent_bias = 127 + fraction_bits, exponent_of_specials = 255;

unsigned width(std::uint64_t significand) { return static_cast<unsigned>(std::bit_width(significand)); }

// significand >> count, with the lowest bit set if ones fell out.
std::uint64_t shift_right_sticky(std::uint64_t significand, unsigned count) {
    if (count >= 64) {
        return significand != 0;
    }
    const bool lost = (significand & ((std::uint64_t{1} << count) - 1)) != 0;
    return significand >> count | std::uint64_t{lost};
}

// To `bits` wide; for significands that are not wider yet.
Number widened(Number number, unsigned bits) {
    const unsigned shift = bits - width(number.significand);
    number.significand <<= shift;
    number.exponent -= static_cast<int>(shift);
    return number;
}

std::uint64_t integer_square_root(std::uint64_t value) {
    std::uint64_t root = 0;
    for (std::uint64_t bit = std::uint64_t{1} << 31; bit != 0; bit >>= 1) {
        if ((root | bit) * (root | bit) <= value) {
            root |= bit;
        }
    }
    return root;
}

} // namespace

Number unpack(std::uint32_t bits) {
    const bool negative = bits & sign_bit;
    const int exponent = static_cast<int>(bits >> fraction_bits & 0xFF);
    if (exponent == 0) {
        return {.negative = negative};
    }
    if (exponent == exponent_of_specials) {
        return unpack((bits & sign_bit) | largest_magnitude);
    }
    return {.negative = negative,
            .exponent = exponent - exponent_bias,
            .significand = (bits & (smallest_normal - 1)) | smallest_normal};
}

std::uint32_t pack(const Number& number) {
    const std::uint32_t sign = number.negative ? sign_bit : 0;
    if (number.significand == 0) {
        return sign;
    }
    // Rounded to nearest even at 24 bits; two bits more, the lower one sticky, decide.
    constexpr unsigned guarded = precision + 2;
    const unsigned bits = width(number.significand);
    const std::uint64_t kept = bits > guarded ? shift_right_sticky(number.significand, bits - guarded)
                                              : number.significand << (guarded - bits);
    std::uint64_t rounded = (kept + 1 + (kept >> 2 & 1)) >> 2;
    int exponent = number.exponent + static_cast<int>(bits) - static_cast<int>(precision) + exponent_bias;
    if (rounded >> precision) {
        rounded >>= 1;
        ++exponent;
    }
    if (exponent <= 0) {
        return sign;
    }
    if (exponent >= exponent_of_specials) {
        return sign | largest_magnitude;
    }
    return sign | static_cast<std::uint32_t>(exponent) << fraction_bits |
           (static_cast<std::uint32_t>(rounded) & (smallest_normal - 1));
}

Number negate(Number number) {
    number.negative = !number.negative;
    return number;
}

Number add(const Number& a, const Number& b) {
    if (a.significand == 0 && b.significand == 0) {
        return {.negative = a.negative && b.negative};
    }
    if (a.significand == 0 || b.significand == 0) {
        return a.significand == 0 ? b : a;
    }
    constexpr unsigned aligned_width = 62;
    Number large = widened(a, aligned_width), small = widened(b, aligned_width);
    if (std::pair(large.exponent, large.significand) < std::pair(small.exponent, small.significand)) {
        std::swap(large, small);
    }
    const std::uint64_t addend =
        shift_right_sticky(small.significand, static_cast<unsigned>(large.exponent - small.exponent));
    large.significand =
        large.negative == small.negative ? large.significand + addend : large.significand - addend;
    return large;
}

Number multiply(const Number& a, const Number& b) {
    return {.negative = a.negative != b.negative,
            .exponent = a.exponent + b.exponent,
            .significand = a.significand * b.significand};
}

Number reciprocal(const Number& number) {
    if (number.significand == 0) {
        return {.negative = number.negative, .exponent = beyond_range, .significand = 1};
    }
    constexpr unsigned dividend_exponent = 62;
    constexpr std::uint64_t dividend = std::uint64_t{1} << dividend_exponent;
    const bool inexact = dividend % number.significand != 0;
    return {.negative = number.negative,
            .exponent = -number.exponent - static_cast<int>(dividend_exponent),
            .significand = dividend / number.significand | std::uint64_t{inexact}};
}

// For a significand s with an even exponent: floor(sqrt(floor(2^86 / s))) is floor(sqrt(2^86 / s)), which has
// 31 bits or more.
Number reciprocal_square_root(const Number& number) {
    if (number.significand == 0) {
        return {.negative = number.negative, .exponent = beyond_range, .significand = 1};
    }
    const bool odd = number.exponent % 2 != 0;
    const std::uint64_t s = odd ? number.significand << 1 : number.significand;
    const int exponent = odd ? number.exponent - 1 : number.exponent;
    // 2^86 / s in two steps.
    constexpr unsigned first = 62, second = 24;
    constexpr std::uint64_t dividend = std::uint64_t{1} << first;
    const std::uint64_t rest = (dividend % s) << second;
    const std::uint64_t quotient = (dividend / s << second) + rest / s;
    const std::uint64_t root = integer_square_root(quotient);
    const bool inexact = root * root != quotient || rest % s != 0;
    return {.negative = number.negative,
            .exponent = -exponent / 2 - static_cast<int>(first + second) / 2,
            .significand = root | std::uint64_t{inexact}};
}

std::int32_t to_integer(const Number& number, unsigned bits) {
    const auto largest = static_cast<std::int64_t>((std::uint64_t{1} << (bits - 1)) - 1);
    std::int64_t magnitude = 0;
    if (number.exponent >= 0) { // 24 bits before the point at least: far from 64 unless it saturates anyway
        magnitude = number.exponent >= static_cast<int>(bits)
                        ? largest + 1
                        : static_cast<std::int64_t>(number.significand << number.exponent);
    } else if (number.exponent > -64) {
        magnitude = static_cast<std::int64_t>(number.significand >> -number.exponent);
    }
    if (number.negative) {
        return static_cast<std::int32_t>(magnitude > largest ? -largest - 1 : -magnitude);
    }
    return static_cast<std::int32_t>(magnitude > largest ? largest : magnitude);
}

Number from_integer(std::int32_t integer) {
    const bool negative = integer < 0;
    const auto magnitude =
        static_cast<std::uint64_t>(negative ? -std::int64_t{integer} : std::int64_t{integer});
    const unsigned bits = width(magnitude);
    const std::uint64_t cut = bits > precision ? (std::uint64_t{1} << (bits - precision)) - 1 : 0;
    return {.negative = negative, .exponent = 0, .significand = magnitude & ~cut};
}

std::int32_t rank(std::uint32_t bits) {
    const auto magnitude = static_cast<std::int32_t>(bits & ~sign_bit);
    if (magnitude < static_cast<std::int32_t>(smallest_normal)) {
        return 0;
    }
    return bits & sign_bit ? -magnitude : magnitude;
}

} // namespace strata::cpu::interpreter::three_d_now
