// Rounding to integers, and half precision. SDM volume 2: ROUNDPS, VCVTPH2PS, VCVTPS2PH.
#include "cpu/x86/soft_float_number.hpp"

namespace strata::cpu::x86::soft_float {

template <class Bits>
Result<Bits> round_to_integer(Bits x, mxcsr::Rounding mode, std::uint32_t mxcsr) {
    if (is_nan(x)) {
        return {static_cast<Bits>(x | quiet_bit<Bits>), is_signaling(x) ? mxcsr::invalid : 0};
    }
    x = flush_operand(x, mxcsr);
    constexpr int precision = Format<Bits>::precision;
    const int exponent = static_cast<int>(magnitude(x) >> (precision - 1)) + Format<Bits>::min_exponent - 1;
    if (exponent >= precision - 1 || magnitude(x) == 0) {
        return {x, 0};
    }
    const Bits sign = static_cast<Bits>(x & sign_bit<Bits>);
    if (exponent < 0) {
        // Only whether the magnitude is above, at or below a half matters.
        constexpr Bits one = static_cast<Bits>(infinity<Bits> / 2 - implicit_bit<Bits> / 2);
        constexpr Bits half = static_cast<Bits>(one - implicit_bit<Bits>);
        const Wide lost = magnitude(x) > half ? ~Wide{0} : magnitude(x) == half ? Wide{1} << 127 : Wide{1};
        const Bits value = rounds_away(mode, sign != 0, false, lost) ? one : Bits{0};
        return {static_cast<Bits>(sign | value), mxcsr::precision};
    }
    const int fraction_bits = precision - 1 - exponent;
    const Bits unit = static_cast<Bits>(Bits{1} << fraction_bits);
    const Wide lost = static_cast<Wide>(x & (unit - 1)) << (128 - fraction_bits);
    if (lost == 0) {
        return {x, 0};
    }
    Bits value = static_cast<Bits>(x & ~(unit - 1));
    const bool odd = exponent == 0 || (value & unit) != 0;
    if (rounds_away(mode, sign != 0, odd, lost)) {
        value = static_cast<Bits>(value + unit);
    }
    return {value, mxcsr::precision};
}

Result<std::uint32_t> half_to_single(std::uint16_t x) {
    const std::uint32_t sign = static_cast<std::uint32_t>(x & 0x8000) << 16;
    constexpr int widened = Format<std::uint32_t>::precision - Format<std::uint16_t>::precision;
    if (is_nan(x)) {
        const std::uint32_t fraction = static_cast<std::uint32_t>(x & 0x3FF) << widened;
        return {sign | infinity<std::uint32_t> | quiet_bit<std::uint32_t> | fraction,
                is_signaling(x) ? mxcsr::invalid : 0};
    }
    if (is_infinite(x)) {
        return {sign | infinity<std::uint32_t>, 0};
    }
    return round<std::uint32_t>(take_apart(x), mxcsr::Rounding::nearest_even,
                                mxcsr::reset_value); // always exact
}

Result<std::uint16_t> single_to_half(std::uint32_t x, mxcsr::Rounding mode, std::uint32_t mxcsr) {
    const auto sign = static_cast<std::uint16_t>(x >> 16 & 0x8000);
    if (is_nan(x)) {
        constexpr int narrowed = Format<std::uint32_t>::precision - Format<std::uint16_t>::precision;
        const auto fraction = static_cast<std::uint16_t>((x >> narrowed) & 0x3FF);
        return {
            static_cast<std::uint16_t>(sign | infinity<std::uint16_t> | quiet_bit<std::uint16_t> | fraction),
            is_signaling(x) ? mxcsr::invalid : 0};
    }
    if (is_infinite(x)) {
        return {static_cast<std::uint16_t>(sign | infinity<std::uint16_t>), 0};
    }
    const std::uint32_t flags = is_denormal(x) && !(mxcsr & mxcsr::denormals_are_zero) ? mxcsr::denormal : 0;
    auto result =
        round<std::uint16_t>(take_apart(flush_operand(x, mxcsr)), mode, mxcsr & ~mxcsr::flush_to_zero);
    result.flags |= flags;
    return result;
}

template Result<std::uint32_t> round_to_integer<std::uint32_t>(std::uint32_t, mxcsr::Rounding, std::uint32_t);
template Result<std::uint64_t> round_to_integer<std::uint64_t>(std::uint64_t, mxcsr::Rounding, std::uint32_t);

} // namespace strata::cpu::x86::soft_float
