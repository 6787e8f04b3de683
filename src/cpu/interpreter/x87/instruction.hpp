// What all x87 instructions have in common: when they may not execute, where a pending exception is reported,
// and the record of the last instruction and operand. SDM volume 1 sections 8.1.8, 8.1.9 and 8.6; volume 3
// section 2.5.
#pragma once

#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/rows.hpp"
#include "cpu/interpreter/x87/stack.hpp"

namespace strata::cpu::interpreter::x87 {

// #NM while CR0 says that there is no unit (EM), or that it has another task's state (TS).
inline void require_unit(Cpu& cpu) {
    if (cpu.system.cr0 & (x86::cr0::em | x86::cr0::ts)) [[unlikely]] {
        cpu.raise(x86::Vector::device_not_available);
    }
}

// Reports the pending exception: #MF, or, with CR0.NE = 0, the error line. False if the instruction must
// wait, since the interrupt that the line leads to comes first.
[[nodiscard]] bool report_pending(Cpu& cpu, const Insn& insn);

[[nodiscard]] inline bool ready(Cpu& cpu, const Insn& insn) {
    require_unit(cpu);
    return !(cpu.fp.fsw & fsw::es) || report_pending(cpu, insn);
}

// FIP and FOP, and for a memory operand FDP. The select functions put the opcode into Insn::imm.
inline void record_instruction(Cpu& cpu, const Insn& insn) {
    FpState& fp = cpu.fp;
    fp.fip = cpu.rip() - insn.length;
    fp.fcs = cpu.system.segments[x86::cs].selector;
    fp.fop = static_cast<std::uint16_t>(insn.imm);
    if (insn.memory) {
        fp.fdp = cpu.effective_address(insn);
        fp.fds = cpu.system.segments[insn.segment].selector;
    }
}

// The handlers of the three kinds of instructions: those that compute (waiting, recorded), waiting control
// instructions, and non-waiting ones.
template <Handler body>
void computing(Cpu& cpu, const Insn& insn) {
    if (ready(cpu, insn)) [[likely]] {
        body(cpu, insn);
        record_instruction(cpu, insn);
    }
}

template <Handler body>
void waiting(Cpu& cpu, const Insn& insn) {
    if (ready(cpu, insn)) [[likely]] {
        body(cpu, insn);
    }
}

template <Handler body>
void non_waiting(Cpu& cpu, const Insn& insn) {
    require_unit(cpu);
    body(cpu, insn);
}

// ---- selection ----

// The 11 opcode bits of FOP: the escape opcode's low three, and ModRM.
[[nodiscard]] inline std::uint16_t last_opcode(const Decoded& decoded) {
    const auto& raw = decoded.info.raw.modrm;
    const unsigned modrm = (raw.mod << 6) | (raw.reg << 3) | raw.rm;
    return static_cast<std::uint16_t>(((decoded.info.opcode & 7) << 8) | modrm);
}

// For instructions of one form.
template <Handler body>
Handler compute(const Decoded& decoded, Insn& insn) {
    insn.imm = last_opcode(decoded);
    return &computing<body>;
}

template <Handler body>
Handler wait(const Decoded&, Insn&) {
    return &waiting<body>;
}

template <Handler body>
Handler no_wait(const Decoded&, Insn&) {
    return &non_waiting<body>;
}

// The width of the memory operand, in bits.
[[nodiscard]] inline unsigned memory_width(const Decoded& decoded) { return decoded.operands[0].size; }

} // namespace strata::cpu::interpreter::x87
