// IEEE 754 arithmetic in integers, for what the host's unit does not tell or may not have: which exceptions
// an SSE operation raises while overflow or underflow is unmasked (the unit, run masked, does not say whether
// an out-of-range result would have been exact), fused multiply-add, rounding to integers, and half
// precision. SDM volume 1 sections 4.8, 4.9 and 11.5.2.
#pragma once

#include "cpu/x86/mxcsr.hpp"

#include <cstdint>
#include <type_traits>

namespace strata::cpu::x86::soft_float {

// Bits is uint32_t for single precision, uint64_t for double, uint16_t for half.
template <class Bits>
struct Result {
    Bits value = 0;
    std::uint32_t flags = 0; // of MXCSR
};

// The post-computation flags (overflow, underflow, precision) of an operation under `mxcsr`: none if it has a
// NaN or infinite operand or divides by zero.
template <class Bits>
[[nodiscard]] std::uint32_t add_flags(Bits x, Bits y, std::uint32_t mxcsr);
template <class Bits>
[[nodiscard]] std::uint32_t sub_flags(Bits x, Bits y, std::uint32_t mxcsr);
template <class Bits>
[[nodiscard]] std::uint32_t mul_flags(Bits x, Bits y, std::uint32_t mxcsr);
template <class Bits>
[[nodiscard]] std::uint32_t div_flags(Bits x, Bits y, std::uint32_t mxcsr);
[[nodiscard]] std::uint32_t narrow_flags(std::uint64_t x, std::uint32_t mxcsr); // double to single

// x * y + z with one rounding; the product and z are first negated if so told. If overflow or underflow is
// unmasked and occurs, the value is of no use.
struct FusedSigns {
    bool negate_product = false, negate_addend = false;
};
template <class Bits>
[[nodiscard]] Result<Bits> fused_multiply_add(Bits x, Bits y, Bits z, FusedSigns signs, std::uint32_t mxcsr);

// To an integer in the same format, as ROUNDPS: `mode` may differ from MXCSR's.
template <class Bits>
[[nodiscard]] Result<Bits> round_to_integer(Bits x, mxcsr::Rounding mode, std::uint32_t mxcsr);

// F16C: widening honours neither DAZ nor raises the denormal flag; narrowing ignores FTZ.
[[nodiscard]] Result<std::uint32_t> half_to_single(std::uint16_t x);
[[nodiscard]] Result<std::uint16_t> single_to_half(std::uint32_t x, mxcsr::Rounding mode,
                                                   std::uint32_t mxcsr);

} // namespace strata::cpu::x86::soft_float
