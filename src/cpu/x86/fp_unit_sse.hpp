// SSE arithmetic: what only a floating-point unit gives exactly. Each function computes as the instruction of
// its name does with all exceptions masked: rounding, DAZ and FTZ are the current environment's and the flags
// it raises gather there (sse_environment.hpp); which of two NaNs comes through depends on the operands'
// order. SDM volume 1 chapter 11, volume 2 by instruction.
#pragma once

#include "cpu/x86/block.hpp"
#include "cpu/x86/soft_float.hpp"
#include "cpu/x86/sse_environment.hpp"

#include <cstdint>
#include <type_traits>

namespace strata::cpu::x86 {

// Packed or scalar, single or double precision, as in the instructions' suffixes.
enum class FpFormat : std::uint8_t { ps, pd, ss, sd };

[[nodiscard]] constexpr bool is_scalar(FpFormat format) {
    return format == FpFormat::ss || format == FpFormat::sd;
}

[[nodiscard]] constexpr bool is_double(FpFormat format) {
    return format == FpFormat::pd || format == FpFormat::sd;
}

// The integer as wide as a lane.
template <FpFormat format>
using FpBits = std::conditional_t<is_double(format), std::uint64_t, std::uint32_t>;

} // namespace strata::cpu::x86

namespace strata::cpu::x86::sse_unit {

// Scalar formats work on lane 0; the other lanes are a's.
template <FpFormat format>
[[nodiscard]] Block add(Block a, Block b);
template <FpFormat format>
[[nodiscard]] Block sub(Block a, Block b);
template <FpFormat format>
[[nodiscard]] Block mul(Block a, Block b);
template <FpFormat format>
[[nodiscard]] Block div(Block a, Block b);
template <FpFormat format>
[[nodiscard]] Block min(Block a, Block b);
template <FpFormat format>
[[nodiscard]] Block max(Block a, Block b);
template <FpFormat format>
[[nodiscard]] Block sqrt(Block a, Block b); // of b
template <FpFormat format>
[[nodiscard]] Block rcp(Block a, Block b); // ps and ss; an approximation of the host's own
template <FpFormat format>
[[nodiscard]] Block rsqrt(Block a, Block b); // likewise

// Predicates 0 to 7 of CMPPS.
enum class Compare : std::uint8_t { eq, lt, le, unord, neq, nlt, nle, ord };
// All ones in each lane for which the predicate holds. LT, LE and their negations raise IE for quiet NaNs
// too.
template <FpFormat format, Compare predicate>
[[nodiscard]] Block cmp(Block a, Block b);

struct Order { // as COMISS sets ZF, PF, CF
    bool zf, pf, cf;
};

template <FpFormat format>
[[nodiscard]] Order comi(Block a, Block b); // ss and sd
template <FpFormat format>
[[nodiscard]] Order ucomi(Block a, Block b); // quiet NaNs raise nothing

// Conversions, by the names of the instructions. Where the result is 64 bits, the upper half of the block is
// zero.
[[nodiscard]] Block cvtdq2ps(Block b);
[[nodiscard]] Block cvtps2dq(Block b);
[[nodiscard]] Block cvttps2dq(Block b);
[[nodiscard]] Block cvtdq2pd(Block b);
[[nodiscard]] Block cvtpd2dq(Block b);
[[nodiscard]] Block cvttpd2dq(Block b);
[[nodiscard]] Block cvtps2pd(Block b);
[[nodiscard]] Block cvtpd2ps(Block b);
[[nodiscard]] Block cvtss2sd(Block a, Block b);
[[nodiscard]] Block cvtsd2ss(Block a, Block b);
// Integer is int32_t or int64_t.
template <FpFormat format, class Integer>
[[nodiscard]] Block from_integer(Block a, Integer value); // CVTSI2SS, SD
template <FpFormat format, class Integer>
[[nodiscard]] Integer to_integer(Block b); // CVTSS2SI, SD2SI
template <FpFormat format, class Integer>
[[nodiscard]] Integer truncate(Block b); // CVTTSS2SI, ...

// Fused multiply-add: +-(x * y) +- z with one rounding. The first NaN of x, y, z comes through. Scalar
// formats give lane 0 alone.
enum class Fused : std::uint8_t { add, sub, negated_add, negated_sub, add_sub, sub_add };

// Whether lane `lane` of a fused operation negates the product and the addend.
[[nodiscard]] constexpr soft_float::FusedSigns fused_signs(Fused operation, unsigned lane) {
    switch (operation) {
    case Fused::add: return {false, false};
    case Fused::sub: return {false, true};
    case Fused::negated_add: return {true, false};
    case Fused::negated_sub: return {true, true};
    case Fused::add_sub: return {false, lane % 2 == 0};
    case Fused::sub_add: return {false, lane % 2 == 1};
    }
    return {};
}

template <FpFormat format, Fused operation>
[[nodiscard]] Block fused(Block x, Block y, Block z);

} // namespace strata::cpu::x86::sse_unit

#include "cpu/x86/fp_unit_sse_host.inl"
