// The x87 unit's words and numbers: bits of the control and status words, classes of 80-bit values, the tag
// word. SDM volume 1 sections 8.1 and 4.8.
#pragma once

#include "cpu/x86/state.hpp"

#include <bit>
#include <cstdint>

namespace strata::cpu::x86 {

// Exception flags: the same places in the status word (flag), the control word (mask) and, IE to PE, in
// MXCSR.
namespace fp_exception {
inline constexpr std::uint16_t ie = 1 << 0, de = 1 << 1, ze = 1 << 2, oe = 1 << 3, ue = 1 << 4, pe = 1 << 5;
inline constexpr std::uint16_t all = 0x3F;
// Found before anything is computed: unmasked, they leave the operands and the stack as they were.
inline constexpr std::uint16_t before_operation = ie | de | ze;
} // namespace fp_exception

namespace fsw {
inline constexpr std::uint16_t sf = 1 << 6, es = 1 << 7, c0 = 1 << 8, c1 = 1 << 9, c2 = 1 << 10,
                               top = 7 << 11, c3 = 1 << 14, b = 1 << 15;
inline constexpr std::uint16_t condition = c0 | c1 | c2 | c3;
inline constexpr unsigned top_shift = 11;
} // namespace fsw

namespace fcw {
inline constexpr std::uint16_t initial = 0x037F; // FNINIT: all masked, 64-bit precision, round to nearest
inline constexpr std::uint16_t always_set = 0x0040;
inline constexpr std::uint16_t writable = 0x1F3F;
inline constexpr std::uint16_t precision_and_rounding = 0x0F00;
inline constexpr unsigned rounding_shift = 10; // 0 nearest, 1 down, 2 up, 3 towards zero
} // namespace fcw

inline constexpr std::uint16_t fop_bits = 0x7FF; // of the last opcode: the escape's low three, and ModRM

// The classes that FXAM tells apart.
enum class Float80Class : std::uint8_t { unsupported, nan, normal, infinity, zero, denormal };

[[nodiscard]] constexpr Float80Class classify(const Float80& value) {
    const unsigned exponent = value.sign_exponent & 0x7FFF;
    const bool integer_bit = value.significand >> 63;
    if (exponent == 0) {
        return value.significand == 0 ? Float80Class::zero : Float80Class::denormal;
    }
    if (!integer_bit) {
        return Float80Class::unsupported; // unnormals, pseudo-NaNs, pseudo-infinities
    }
    if (exponent != 0x7FFF) {
        return Float80Class::normal;
    }
    return value.significand << 1 == 0 ? Float80Class::infinity : Float80Class::nan;
}

// Numbers of IEEE 754's interchange formats, as the bits that memory holds.
struct Float32 {
    std::uint32_t bits = 0;
    static constexpr unsigned exponent_bits = 8, fraction_bits = 23;
};

struct Float64 {
    std::uint64_t bits = 0;
    static constexpr unsigned exponent_bits = 11, fraction_bits = 52;
};

// A value with the exceptions that making it raised.
struct Widened {
    Float80 value{};
    std::uint16_t exceptions = 0;
};

// Float32 or Float64 to 80 bits, which is exact: DE for a denormal, IE for a signalling NaN, which becomes
// quiet.
template <class Narrow>
[[nodiscard]] constexpr Widened widen(Narrow number) {
    constexpr unsigned fraction_bits = Narrow::fraction_bits, exponent_bits = Narrow::exponent_bits;
    constexpr unsigned exponent_max = (1U << exponent_bits) - 1;
    constexpr unsigned rebias = 0x3FFF - (exponent_max >> 1);
    const std::uint64_t bits = number.bits;
    const std::uint64_t fraction = bits << (64 - fraction_bits) >> 1; // below the integer bit
    const unsigned exponent = (bits >> fraction_bits) & exponent_max;
    const auto sign = static_cast<unsigned>(bits >> (fraction_bits + exponent_bits)) << 15;
    constexpr std::uint64_t integer_bit = std::uint64_t{1} << 63, quiet_bit = integer_bit >> 1;
    const auto make = [sign](unsigned biased, std::uint64_t significand, std::uint16_t exceptions = 0) {
        return Widened{{significand, static_cast<std::uint16_t>(sign | biased)}, exceptions};
    };
    if (exponent != 0 && exponent != exponent_max) [[likely]] {
        return make(exponent + rebias, integer_bit | fraction);
    }
    if (fraction == 0) {
        return exponent == 0 ? make(0, 0) : make(0x7FFF, integer_bit);
    }
    if (exponent == 0) {
        const auto shift = static_cast<unsigned>(std::countl_zero(fraction));
        return make(rebias + 1 - shift, fraction << shift, fp_exception::de);
    }
    return make(0x7FFF, integer_bit | quiet_bit | fraction,
                fraction & quiet_bit ? std::uint16_t{0} : fp_exception::ie);
}

// Exact as well.
[[nodiscard]] constexpr Float80 from_integer(std::int64_t number) {
    if (number == 0) {
        return {};
    }
    const unsigned sign = number < 0 ? 0x8000 : 0;
    const std::uint64_t magnitude =
        number < 0 ? -static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
    const auto shift = static_cast<unsigned>(std::countl_zero(magnitude));
    return {magnitude << shift, static_cast<std::uint16_t>(sign | (0x3FFF + 63 - shift))};
}

// The masked response to an invalid operation.
inline constexpr Float80 indefinite{.significand = 0xC000'0000'0000'0000, .sign_exponent = 0xFFFF};

[[nodiscard]] constexpr unsigned stack_top(const FpState& fp) { return (fp.fsw >> fsw::top_shift) & 7; }

constexpr void set_stack_top(FpState& fp, unsigned top) {
    fp.fsw = static_cast<std::uint16_t>((fp.fsw & ~fsw::top) | ((top & 7) << fsw::top_shift));
}

// The tag word as FSTENV and FSAVE store it: two bits a physical register, by its contents.
[[nodiscard]] constexpr std::uint16_t full_tag_word(const FpState& fp) {
    unsigned word = 0;
    for (unsigned i = 0; i < 8; ++i) {
        unsigned tag = 3;
        if ((fp.abridged_tag >> i) & 1) {
            const Float80Class kind = classify(fp.physical[i]);
            tag = kind == Float80Class::normal ? 0 : kind == Float80Class::zero ? 1 : 2;
        }
        word |= tag << (2 * i);
    }
    return static_cast<std::uint16_t>(word);
}

[[nodiscard]] constexpr std::uint8_t abridge_tag_word(std::uint16_t word) {
    unsigned abridged = 0;
    for (unsigned i = 0; i < 8; ++i) {
        abridged |= ((word >> (2 * i)) & 3) == 3 ? 0U : 1U << i;
    }
    return static_cast<std::uint8_t>(abridged);
}

// What FNINIT leaves: the registers keep their contents.
constexpr void initialize_x87(FpState& fp) {
    fp.fcw = fcw::initial;
    fp.fsw = 0;
    fp.abridged_tag = 0;
    fp.fop = fp.fcs = fp.fds = 0;
    fp.fip = fp.fdp = 0;
}

// ES and B follow from the flags and their masks.
constexpr void update_exception_summary(FpState& fp) {
    constexpr std::uint16_t summary = fsw::es | fsw::b;
    const bool pending = fp.fsw & ~fp.fcw & fp_exception::all;
    fp.fsw = static_cast<std::uint16_t>(pending ? fp.fsw | summary : fp.fsw & ~summary);
}

} // namespace strata::cpu::x86
