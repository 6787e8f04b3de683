// Helpers with which rows choose among a handler's instances by operand size and form.
#pragma once

#include "cpu/interpreter/rows.hpp"

#include <cstdint>

namespace strata::cpu::interpreter {

// What the r/m operand is and where the other one comes from.
enum class Form : std::uint8_t { reg_rm, rm_reg, rm_imm };

// How the visible operands of a two-operand instruction are encoded. The accumulator forms are rm_imm with rm
// = rAX.
[[nodiscard]] inline Form form_of(const Decoded& decoded) {
    const ZydisDecodedOperand& second = decoded.operands[1];
    if (second.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        return Form::rm_imm;
    }
    return second.encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG ? Form::rm_reg : Form::reg_rm;
}

// Calls f with a value of the unsigned type that is as wide as the instruction's operands: 8 to 64 bits.
template <class F>
auto by_width(const Insn& insn, F f) {
    switch (insn.operand_size) {
    case 0: return f(std::uint8_t{});
    case 1: return f(std::uint16_t{});
    case 2: return f(std::uint32_t{});
    default: return f(std::uint64_t{});
    }
}

// As by_width, for instructions without a form for bytes.
template <class F>
auto by_word_width(const Insn& insn, F f) {
    switch (insn.operand_size) {
    case 1: return f(std::uint16_t{});
    case 2: return f(std::uint32_t{});
    default: return f(std::uint64_t{});
    }
}

// A row's select for a handler without forms.
template <auto handler>
Handler always(const Decoded&, Insn&) {
    return handler;
}

} // namespace strata::cpu::interpreter
