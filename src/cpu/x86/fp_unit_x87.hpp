// The floating-point seam, x87 half: what needs a unit that computes in 80 bits. Each function carries out
// one instruction's operation under a control word and returns what it would set in the status word;
// registers, tags, stack and pointers are the caller's. Served by the host's own unit (fp_unit_host_x87.cpp)
// on x86-64.
//
// If an exception that the control word unmasks is found, the operands are left as the hardware leaves them:
// unchanged after IE, DE and ZE; rounded, with the exponent wrapped, after OE and UE. Stores to memory leave
// `result` alone after IE, OE and UE. SDM volume 1 sections 8.4 and 8.5.
#pragma once

#include "cpu/x86/x87.hpp"

#include <array>
#include <cstdint>

namespace strata::cpu::x86::fp_unit {

// Exception flags and condition codes, placed as in the status word.
using Status = std::uint16_t;

struct Mode {
    std::uint16_t control; // the x87 control word
    // Exception flags that are set already, and that may therefore be reported again without harm. An
    // implementation on hardware with sticky flags need not clear these.
    std::uint16_t raised;
};

// A packed decimal number: 18 digits and a sign.
struct Bcd80 {
    std::array<std::uint8_t, 10> bytes;
};

// Named by D8's opcode extension. "reversed" exchanges the operands: source - destination.
enum class Arithmetic : std::uint8_t {
    add = 0,
    multiply = 1,
    subtract = 4,
    subtract_reversed = 5,
    divide = 6,
    divide_reversed = 7
};

// destination = destination op source. Source is Float80, Float32, Float64, int16_t or int32_t. Reports C1.
template <Arithmetic operation, class Source>
Status arithmetic(Mode mode, Float80& destination, const Source& source);

// FCOM's comparison (any NaN is invalid) with a Source as above. Reports C0 to C3.
template <class Source>
Status compare(Mode mode, const Float80& left, const Source& right);
// FUCOM's comparison (only a signalling NaN is invalid).
Status compare_unordered(Mode mode, const Float80& left, const Float80& right);

// What FCOMI and its kin, which compare into RFLAGS, leave in the status word: Intel's processors clear C1,
// AMD's leave it as it was.
[[nodiscard]] bool comparison_into_flags_clears_c1();

// Operations on ST(0) alone. Reports C1; sine and cosine also C2: the operand is out of range, and unchanged.
enum class Unary : std::uint8_t { square_root, round_to_integer, two_to_x_minus_1, sine, cosine };
template <Unary operation>
Status unary(Mode mode, Float80& operand);

// ST(0) = ST(0) op ST(1). Scaling reports C1, the remainders C0 to C3 (quotient bits, and C2 for "not yet
// done"; if the result is a NaN there is no quotient, and C0 and C3 mean nothing).
enum class Adjust : std::uint8_t { scale, remainder_truncating, remainder_nearest };
template <Adjust operation>
Status adjust(Mode mode, Float80& st0, const Float80& st1);

// ST(1) = ST(1) op ST(0), for the instructions that then pop. Reports C1.
enum class Binary : std::uint8_t { arctangent, y_log2_x, y_log2_x_plus_1 };
template <Binary operation>
Status binary(Mode mode, Float80& st1, const Float80& st0);

// The instructions that replace ST(0) and push a second result (if no exception before the operation is
// unmasked and C2 is clear). Reports C1 and, but for extract, C2.
enum class Pair : std::uint8_t { tangent, sine_cosine, extract };
template <Pair operation>
Status pair(Mode mode, Float80& operand, Float80& pushed);

// 80 bits to Float32, Float64, int16_t, int32_t, int64_t or Bcd80, rounded as the control word says. Reports
// C1.
template <class Destination>
Status narrow(Mode mode, const Float80& source, Destination& result);
// 80 bits to int16_t, int32_t or int64_t, truncated (FISTTP).
template <class Destination>
Status truncate(Mode mode, const Float80& source, Destination& result);

} // namespace strata::cpu::x86::fp_unit
