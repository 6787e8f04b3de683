// The instruction groups of the system architecture, and what their rows share.
#pragma once

#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/rows.hpp"

#include <optional>

namespace strata::cpu::interpreter {

Rows segment_rows();   // segment registers, questions about descriptors
Rows far_rows();       // far branches, interrupts and their returns
Rows control_rows();   // CR, DR
Rows table_rows();     // GDTR, IDTR, LDTR, TR
Rows msr_rows();       // MSRs, time, CPUID, XCR0
Rows fast_call_rows(); // SYSCALL, SYSENTER and their returns
Rows system_rows();    // HLT, caches, TLB
Rows io_rows();        // IN, OUT, INS, OUTS

[[nodiscard]] inline unsigned operand_bytes(const Insn& insn) { return 1U << insn.operand_size; }

// One of three handlers by the effective operand size.
[[nodiscard]] inline Handler by_operand_size(const Insn& insn, Handler word, Handler doubleword,
                                             Handler quadword) {
    switch (insn.operand_size) {
    case 1: return word;
    case 2: return doubleword;
    default: return quadword;
    }
}

// The same for rows that need nothing else.
template <auto word, auto doubleword, auto quadword>
Handler select_by_operand_size(const Decoded&, Insn& insn) {
    return by_operand_size(insn, word, doubleword, quadword);
}

template <auto handler>
Handler select_always(const Decoded&, Insn&) {
    return handler;
}

// Which segment register an operand is, if it is one.
[[nodiscard]] inline std::optional<std::uint8_t> segment_of(const ZydisDecodedOperand& operand) {
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER || operand.reg.value < ZYDIS_REGISTER_ES ||
        operand.reg.value > ZYDIS_REGISTER_GS) {
        return std::nullopt;
    }
    return static_cast<std::uint8_t>(operand.reg.value - ZYDIS_REGISTER_ES);
}

// The offset of what follows `size` bytes of the memory operand at `offset`: it wraps at the address size.
[[nodiscard]] inline std::uint64_t next_offset(const Insn& insn, std::uint64_t offset, unsigned size) {
    switch (insn.address_size) {
    case 1: return static_cast<std::uint16_t>(offset + size);
    case 2: return static_cast<std::uint32_t>(offset + size);
    default: return offset + size;
    }
}

// #GP(0) unless the CPL is 0.
inline void require_cpl0(Cpu& cpu) {
    if (cpu.cpl() != 0) {
        cpu.raise_gp(0);
    }
}

// #GP(0) where user-mode instruction prevention forbids an instruction that only reads.
inline void require_no_umip(Cpu& cpu) {
    if (cpu.cpl() != 0 && (cpu.system.cr4 & x86::cr4::umip) != 0) {
        cpu.raise_gp(0);
    }
}

} // namespace strata::cpu::interpreter
