// MM registers and what all instructions that use them have in common: MMi is the significand of the x87
// register Ri, an access takes the whole unit over (TOP = 0, no register empty), a write sets the exponent to
// ones. SDM volume 1 sections 9.2 and 9.5, volume 3 section 12.
#pragma once

#include "cpu/interpreter/rows.hpp"
#include "cpu/interpreter/simd/select.hpp"
#include "cpu/interpreter/x87/instruction.hpp"

namespace strata::cpu::interpreter::mmx {

using simd::Block;

[[nodiscard]] inline std::uint64_t read(const Cpu& cpu, unsigned number) {
    return cpu.fp.physical[number].significand;
}

inline void write(Cpu& cpu, unsigned number, std::uint64_t value) {
    x86::Float80& destination = cpu.fp.physical[number];
    destination.significand = value;
    destination.sign_exponent = 0xFFFF;
}

// The r/m operand.
[[nodiscard]] inline std::uint64_t source(Cpu& cpu, const Insn& insn) {
    return insn.memory ? cpu.load<std::uint64_t>(insn) : read(cpu, insn.rm);
}

// False if the instruction must wait (see x87::report_pending). Unlike x87's, MMX instructions do not exist
// under CR0.EM.
[[nodiscard]] inline bool ready(Cpu& cpu, const Insn& insn) {
    if (cpu.system.cr0 & (x86::cr0::em | x86::cr0::ts)) [[unlikely]] {
        cpu.raise(cpu.system.cr0 & x86::cr0::em ? x86::Vector::invalid_opcode
                                                : x86::Vector::device_not_available);
    }
    return !(cpu.fp.fsw & x86::fsw::es) || x87::report_pending(cpu, insn);
}

inline void take_over(x86::FpState& fp) {
    x86::set_stack_top(fp, 0);
    fp.abridged_tag = 0xFF;
}

template <Handler body>
void instruction(Cpu& cpu, const Insn& insn) {
    if (ready(cpu, insn)) [[likely]] {
        body(cpu, insn);
        take_over(cpu.fp);
    }
}

// The handler, for the forms of a mnemonic that use MM registers.
template <Handler body>
Handler select(const Decoded& decoded, Insn&) {
    return simd::uses_mmx(decoded) ? &instruction<body> : nullptr;
}

} // namespace strata::cpu::interpreter::mmx
