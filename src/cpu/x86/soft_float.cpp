// Rounding, and the arithmetic that needs no more than it.
#include "cpu/x86/soft_float_number.hpp"

#include <initializer_list>
#include <utility>

namespace strata::cpu::x86::soft_float {
namespace {

int leading_zeros(Wide value) {
    const auto high = static_cast<std::uint64_t>(value >> 64);
    return high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<std::uint64_t>(value));
}

// Splits a left-aligned significand into its upper `kept` bits, rounded, and whether it was exact. The
// rounded bits may have carried into one more.
struct Rounded {
    Wide bits;
    bool exact;
};

Rounded round_significand(Wide significand, int kept, mxcsr::Rounding mode, bool negative) {
    if (kept < 0) {
        return {rounds_away(mode, negative, false, 1) ? Wide{1} : Wide{0}, false};
    }
    const Wide bits = kept == 0 ? 0 : significand >> (128 - kept);
    const Wide lost = kept == 0 ? significand : significand << kept;
    return {bits + (rounds_away(mode, negative, bits & 1, lost) ? 1 : 0), lost == 0};
}

template <class Bits>
Bits pack(bool negative, Bits rest) {
    return static_cast<Bits>((negative ? sign_bit<Bits> : Bits{0}) | rest);
}

template <class Bits>
Result<Bits> overflow(bool negative, bool exact, mxcsr::Rounding mode, std::uint32_t mxcsr) {
    if (!(mxcsr & (mxcsr::overflow << mxcsr::mask_shift))) {
        return {0, mxcsr::overflow | (exact ? 0 : mxcsr::precision)};
    }
    const bool to_infinity = mode == mxcsr::Rounding::nearest_even ||
                             mode == (negative ? mxcsr::Rounding::down : mxcsr::Rounding::up);
    const Bits value = static_cast<Bits>(to_infinity ? infinity<Bits> : infinity<Bits> - 1);
    return {pack(negative, value), mxcsr::overflow | mxcsr::precision};
}

bool is_zero_sum_negative(mxcsr::Rounding mode) { return mode == mxcsr::Rounding::down; }

template <class Bits>
bool all_finite(Bits x, Bits y) {
    return magnitude(x) < infinity<Bits> && magnitude(y) < infinity<Bits>;
}

// The exact sum of two numbers, or one that rounds as it does.
Number sum(Number a, Number b, mxcsr::Rounding mode) {
    if (a.significand == 0 || b.significand == 0) {
        Number result = a.significand == 0 ? b : a;
        if (result.significand == 0 && a.negative != b.negative) {
            result.negative = is_zero_sum_negative(mode);
        }
        return result;
    }
    normalize(a, 1);
    normalize(b, 1);
    if (a.exponent < b.exponent || (a.exponent == b.exponent && a.significand < b.significand)) {
        std::swap(a, b);
    }
    const Wide smaller = shift_right_sticky(b.significand, a.exponent - b.exponent);
    if (a.negative == b.negative) {
        a.significand += smaller;
        return a;
    }
    a.significand -= smaller;
    if (a.significand == 0) {
        a.negative = is_zero_sum_negative(mode);
    }
    return a;
}

Number product(const Number& a, const Number& b) {
    return {a.negative != b.negative, a.exponent + b.exponent, a.significand * b.significand};
}

} // namespace

void normalize(Number& number, int headroom) {
    const int shift = leading_zeros(number.significand) - headroom;
    number.significand =
        shift >= 0 ? number.significand << shift : shift_right_sticky(number.significand, -shift);
    number.exponent -= shift;
}

Wide shift_right_sticky(Wide value, int count) {
    if (count >= 128) {
        return value != 0 ? 1 : 0;
    }
    const Wide shifted = value >> count;
    return shifted << count == value ? shifted : shifted | 1;
}

bool rounds_away(mxcsr::Rounding mode, bool negative, bool odd, Wide lost) {
    constexpr Wide half = Wide{1} << 127;
    switch (mode) {
    case mxcsr::Rounding::nearest_even: return lost > half || (lost == half && odd);
    case mxcsr::Rounding::down: return negative && lost != 0;
    case mxcsr::Rounding::up: return !negative && lost != 0;
    case mxcsr::Rounding::toward_zero: break;
    }
    return false;
}

template <class Bits>
Result<Bits> round(Number number, mxcsr::Rounding mode, std::uint32_t mxcsr) {
    constexpr int precision = Format<Bits>::precision;
    constexpr int min_exponent = Format<Bits>::min_exponent;
    if (number.significand == 0) {
        return {pack(number.negative, Bits{0}), 0};
    }
    normalize(number, 0);
    const int exponent = number.exponent + 127;
    const auto [bits, exact] = round_significand(number.significand, precision, mode, number.negative);
    const int rounded_exponent = exponent + (bits >> precision != 0 ? 1 : 0);
    if (rounded_exponent > Format<Bits>::max_exponent) {
        return overflow<Bits>(number.negative, exact, mode, mxcsr);
    }
    if (rounded_exponent >= min_exponent) {
        // The implicit bit, and a carry out of it, count in the exponent field.
        const auto biased = static_cast<Bits>(exponent - min_exponent);
        const auto value = static_cast<Bits>((static_cast<Wide>(biased) << (precision - 1)) + bits);
        return {pack(number.negative, value), exact ? 0 : mxcsr::precision};
    }
    if (!(mxcsr & (mxcsr::underflow << mxcsr::mask_shift))) {
        return {0, mxcsr::underflow | (exact ? 0 : mxcsr::precision)};
    }
    if (mxcsr & mxcsr::flush_to_zero) {
        return {pack(number.negative, Bits{0}), mxcsr::underflow | mxcsr::precision};
    }
    const auto denormal =
        round_significand(number.significand, precision - (min_exponent - exponent), mode, number.negative);
    return {pack(number.negative, static_cast<Bits>(denormal.bits)),
            denormal.exact ? 0 : mxcsr::underflow | mxcsr::precision};
}

template <class Bits>
std::uint32_t add_flags(Bits x, Bits y, std::uint32_t mxcsr) {
    if (!all_finite(x, y)) {
        return 0;
    }
    const auto mode = mxcsr::rounding_of(mxcsr);
    return round<Bits>(sum(take_apart(flush_operand(x, mxcsr)), take_apart(flush_operand(y, mxcsr)), mode),
                       mode, mxcsr)
        .flags;
}

template <class Bits>
std::uint32_t sub_flags(Bits x, Bits y, std::uint32_t mxcsr) {
    return add_flags(x, static_cast<Bits>(y ^ sign_bit<Bits>), mxcsr);
}

template <class Bits>
std::uint32_t mul_flags(Bits x, Bits y, std::uint32_t mxcsr) {
    if (!all_finite(x, y)) {
        return 0;
    }
    return round<Bits>(product(take_apart(flush_operand(x, mxcsr)), take_apart(flush_operand(y, mxcsr))),
                       mxcsr::rounding_of(mxcsr), mxcsr)
        .flags;
}

template <class Bits>
std::uint32_t div_flags(Bits x, Bits y, std::uint32_t mxcsr) {
    if (!all_finite(x, y)) {
        return 0;
    }
    Number dividend = take_apart(flush_operand(x, mxcsr)), divisor = take_apart(flush_operand(y, mxcsr));
    if (dividend.significand == 0 || divisor.significand == 0) {
        return 0;
    }
    normalize(dividend, 1); // so that the quotient has 73 bits or more
    const Wide quotient = dividend.significand / divisor.significand;
    const bool exact = quotient * divisor.significand == dividend.significand;
    const Number result{dividend.negative != divisor.negative, dividend.exponent - divisor.exponent,
                        quotient | (exact ? 0 : 1)};
    return round<Bits>(result, mxcsr::rounding_of(mxcsr), mxcsr).flags;
}

std::uint32_t narrow_flags(std::uint64_t x, std::uint32_t mxcsr) {
    if (magnitude(x) >= infinity<std::uint64_t>) {
        return 0;
    }
    return round<std::uint32_t>(take_apart(flush_operand(x, mxcsr)), mxcsr::rounding_of(mxcsr), mxcsr).flags;
}

template <class Bits>
Result<Bits> fused_multiply_add(Bits x, Bits y, Bits z, FusedSigns signs, std::uint32_t mxcsr) {
    const bool invalid_nan = is_signaling(x) || is_signaling(y) || is_signaling(z);
    for (const Bits operand : {x, y, z}) {
        if (is_nan(operand)) {
            return {static_cast<Bits>(operand | quiet_bit<Bits>), invalid_nan ? mxcsr::invalid : 0};
        }
    }
    const bool denormal = is_denormal(x) || is_denormal(y) || is_denormal(z);
    x = flush_operand(x, mxcsr);
    y = flush_operand(y, mxcsr);
    z = flush_operand(z, mxcsr);
    const bool product_negative = (is_negative(x) != is_negative(y)) != signs.negate_product;
    const bool addend_negative = is_negative(z) != signs.negate_addend;
    const bool product_infinite = is_infinite(x) || is_infinite(y);
    if (product_infinite && (magnitude(x) == 0 || magnitude(y) == 0)) {
        return {default_nan<Bits>, mxcsr::invalid};
    }
    if (product_infinite && is_infinite(z) && product_negative != addend_negative) {
        return {default_nan<Bits>, mxcsr::invalid};
    }
    const std::uint32_t flags = denormal && !(mxcsr & mxcsr::denormals_are_zero) ? mxcsr::denormal : 0;
    if (product_infinite || is_infinite(z)) {
        return {pack(product_infinite ? product_negative : addend_negative, infinity<Bits>), flags};
    }
    Number multiplied = product(take_apart(x), take_apart(y)), addend = take_apart(z);
    multiplied.negative = product_negative;
    addend.negative = addend_negative;
    const auto mode = mxcsr::rounding_of(mxcsr);
    Result<Bits> result = round<Bits>(sum(multiplied, addend, mode), mode, mxcsr);
    result.flags |= flags;
    return result;
}

template Result<std::uint16_t> round<std::uint16_t>(Number, mxcsr::Rounding, std::uint32_t);

#define STRATA_INSTANTIATE(Bits)                                                                             \
    template Result<Bits> round<Bits>(Number, mxcsr::Rounding, std::uint32_t);                               \
    template std::uint32_t add_flags<Bits>(Bits, Bits, std::uint32_t);                                       \
    template std::uint32_t sub_flags<Bits>(Bits, Bits, std::uint32_t);                                       \
    template std::uint32_t mul_flags<Bits>(Bits, Bits, std::uint32_t);                                       \
    template std::uint32_t div_flags<Bits>(Bits, Bits, std::uint32_t);                                       \
    template Result<Bits> fused_multiply_add<Bits>(Bits, Bits, Bits, FusedSigns, std::uint32_t);
STRATA_INSTANTIATE(std::uint32_t)
STRATA_INSTANTIATE(std::uint64_t)
#undef STRATA_INSTANTIATE

} // namespace strata::cpu::x86::soft_float
