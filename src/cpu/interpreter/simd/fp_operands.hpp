// Operands of SSE arithmetic by its four formats.
#pragma once

#include "cpu/interpreter/simd/fp_exceptions.hpp"
#include "cpu/interpreter/simd/operands.hpp"
#include "cpu/interpreter/simd/select.hpp"
#include "cpu/x86/fp_unit_sse.hpp"

namespace strata::cpu::interpreter::simd {

using x86::FpBits;
using x86::FpFormat;
using x86::is_double;
using x86::is_scalar;

template <FpFormat format>
inline constexpr unsigned active_lanes = is_scalar(format) ? 1 : lane_count<FpBits<format>>;

// The r/m operand: all of it, or as much as a scalar takes.
template <FpFormat format, std::size_t blocks>
[[nodiscard]] inline Vector<blocks> fp_source(Cpu& cpu, const Insn& insn) {
    if constexpr (is_scalar(format)) {
        return {low_source<FpBits<format>>(cpu, insn)};
    } else {
        return source<blocks>(cpu, insn);
    }
}

// The union of flags_of(x, y, ...) over the lanes that `format` works on.
template <FpFormat format, class FlagsOf, class... Blocks>
[[nodiscard]] inline std::uint32_t lane_flags(FlagsOf flags_of, Blocks... blocks) {
    std::uint32_t flags = 0;
    for (unsigned i = 0; i < active_lanes<format>; ++i) {
        flags |= flags_of(lanes<FpBits<format>>(blocks)[i]...);
    }
    return flags;
}

// The handler for the format: `handler<format, blocks>::run`. Scalars ignore VEX.L.
template <template <FpFormat, std::size_t> class Instruction, FpFormat format>
Handler select_fp(const Decoded& decoded, Insn& insn) {
    if constexpr (is_scalar(format)) {
        return select_form(decoded, insn, &Instruction<format, 1>::run, &Instruction<format, 1>::run);
    } else {
        return select_form(decoded, insn, &Instruction<format, 1>::run, &Instruction<format, 2>::run);
    }
}

} // namespace strata::cpu::interpreter::simd
