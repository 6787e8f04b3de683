// MOV to and from control and debug registers, CLTS, LMSW, SMSW. SDM volume 2; volume 3 sections 2.5, 17.2.
#include "base/bits.hpp"
#include "cpu/interpreter/control_registers.hpp"
#include "cpu/interpreter/system_rows.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::Vector;

// ---- control registers ----

// CR4 came with CPUID.
void require_control_register(Cpu& cpu, unsigned number) {
    if (number == 4 && !cpu.model().has(x86::Feature::cpuid)) {
        cpu.raise_ud();
    }
    require_cpl0(cpu);
}

template <class T>
void read_control(Cpu& cpu, const Insn& insn) {
    require_control_register(cpu, insn.reg);
    switch (insn.reg) {
    case 0: cpu.set_reg<T>(insn.rm, static_cast<T>(cpu.system.cr0)); break;
    case 2: cpu.set_reg<T>(insn.rm, static_cast<T>(cpu.system.cr2)); break;
    case 3: cpu.set_reg<T>(insn.rm, static_cast<T>(cpu.system.cr3)); break;
    case 4: cpu.set_reg<T>(insn.rm, static_cast<T>(cpu.system.cr4)); break;
    default: cpu.set_reg<T>(insn.rm, cpu.bus().task_priority()); break;
    }
}

void set_cr8(Cpu& cpu, std::uint64_t value) {
    if (value > 15) {
        cpu.raise_gp(0);
    }
    cpu.bus().set_task_priority(static_cast<std::uint8_t>(value));
    cpu.end_block(); // an interrupt may be due now
}

template <class T>
void write_control(Cpu& cpu, const Insn& insn) {
    require_control_register(cpu, insn.reg);
    const std::uint64_t value = cpu.reg<T>(insn.rm);
    switch (insn.reg) {
    case 0: set_cr0(cpu, value); break;
    case 2: cpu.system.cr2 = value; break;
    case 3: set_cr3(cpu, value); break;
    case 4: set_cr4(cpu, value); break;
    default: set_cr8(cpu, value); break;
    }
}

void load_machine_status(Cpu& cpu, const Insn& insn) {
    require_cpl0(cpu);
    constexpr std::uint64_t low = x86::cr0::pe | x86::cr0::mp | x86::cr0::em | x86::cr0::ts;
    const std::uint64_t value = cpu.load_rm<std::uint16_t>(insn) & low;
    const std::uint64_t kept_pe = cpu.system.cr0 & x86::cr0::pe; // it sets PE but cannot clear it
    set_cr0(cpu, (cpu.system.cr0 & ~low) | value | kept_pe);
}

template <class T>
void store_machine_status(Cpu& cpu, const Insn& insn) {
    require_no_umip(cpu);
    if (insn.memory) {
        cpu.store<std::uint16_t>(insn, static_cast<std::uint16_t>(cpu.system.cr0));
    } else {
        cpu.set_reg<T>(insn.rm, static_cast<T>(cpu.system.cr0));
    }
}

void clear_task_switched(Cpu& cpu, const Insn&) {
    require_cpl0(cpu);
    cpu.system.cr0 &= ~x86::cr0::ts;
    cpu.mode_changed();
}

// ---- debug registers ----

// DR4 and DR5 are other names of DR6 and DR7, unless CR4.DE makes them invalid.
unsigned debug_register(Cpu& cpu, unsigned number) {
    if (number == 4 || number == 5) {
        if ((cpu.system.cr4 & x86::cr4::de) != 0) {
            cpu.raise_ud();
        }
        return number + 2;
    }
    return number;
}

void check_debug_access(Cpu& cpu) {
    require_cpl0(cpu);
    if ((cpu.system.dr7 & x86::dr7::gd) != 0) {
        cpu.system.dr6 |= x86::dr6::bd;
        cpu.raise(Vector::debug);
    }
}

template <class T>
void read_debug(Cpu& cpu, const Insn& insn) {
    const unsigned number = debug_register(cpu, insn.reg);
    check_debug_access(cpu);
    const std::uint64_t value = number == 6   ? cpu.system.dr6
                                : number == 7 ? cpu.system.dr7
                                              : cpu.system.dr[number];
    cpu.set_reg<T>(insn.rm, static_cast<T>(value));
}

template <class T>
void write_debug(Cpu& cpu, const Insn& insn) {
    const unsigned number = debug_register(cpu, insn.reg);
    check_debug_access(cpu);
    const std::uint64_t value = cpu.reg<T>(insn.rm);
    if (number < 4) {
        cpu.system.dr[number] = value;
    } else if (value >> 32 != 0) {
        cpu.raise_gp(0);
    } else if (number == 6) {
        cpu.system.dr6 = (value & x86::dr6::writable) | x86::dr6::fixed;
    } else {
        cpu.system.dr7 = (value & x86::dr7::writable) | x86::dr7::fixed;
    }
    cpu.mode_changed(); // breakpoints may be armed now
}

// ---- MOV's rows ----

bool is_in(const ZydisDecodedOperand& operand, ZydisRegister first, ZydisRegister last) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && operand.reg.value >= first &&
           operand.reg.value <= last;
}

bool is_control(const ZydisDecodedOperand& operand) {
    return is_in(operand, ZYDIS_REGISTER_CR0, ZYDIS_REGISTER_CR15);
}

bool is_debug(const ZydisDecodedOperand& operand) {
    return is_in(operand, ZYDIS_REGISTER_DR0, ZYDIS_REGISTER_DR15);
}

// These moves ignore operand-size prefixes: 64 bits in 64-bit mode, else 32.
template <auto narrow, auto wide>
Handler by_mode(const Decoded& decoded) {
    return decoded.long_mode ? wide : narrow;
}

using std::uint16_t, std::uint32_t, std::uint64_t;

Handler select_move(const Decoded& decoded, Insn& insn) {
    const ZydisDecodedOperand &to = decoded.operands[0], &from = decoded.operands[1];
    if (is_control(to) || is_control(from)) {
        constexpr unsigned existing = 1U << 0 | 1U << 2 | 1U << 3 | 1U << 4 | 1U << 8;
        if (!test_bit(existing, insn.reg)) {
            return nullptr;
        }
        return is_control(to) ? by_mode<write_control<uint32_t>, write_control<uint64_t>>(decoded)
                              : by_mode<read_control<uint32_t>, read_control<uint64_t>>(decoded);
    }
    if ((is_debug(to) || is_debug(from)) && insn.reg < 8) {
        return is_debug(to) ? by_mode<write_debug<uint32_t>, write_debug<uint64_t>>(decoded)
                            : by_mode<read_debug<uint32_t>, read_debug<uint64_t>>(decoded);
    }
    return nullptr;
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_MOV, select_move},
    {ZYDIS_MNEMONIC_LMSW, select_always<load_machine_status>},
    {ZYDIS_MNEMONIC_SMSW,
     select_by_operand_size<store_machine_status<uint16_t>, store_machine_status<uint32_t>,
                            store_machine_status<uint64_t>>},
    {ZYDIS_MNEMONIC_CLTS, select_always<clear_task_switched>},
};

} // namespace

Rows control_rows() { return rows; }

} // namespace strata::cpu::interpreter
