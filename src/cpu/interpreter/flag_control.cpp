// Flag instructions: CLC, STC, CMC, CLD, STD, CLI, STI, LAHF, SAHF, SALC. SDM volume 2; CLI and STI with
// virtual interrupts: volume 3 sections 20.3 and 20.4.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"

namespace strata::cpu::interpreter {

namespace {

namespace flag = x86::flag;

constexpr unsigned ah = 32; // as a byte register

void clc(Cpu& cpu, const Insn&) { cpu.flags.set_cf(false); }

void stc(Cpu& cpu, const Insn&) { cpu.flags.set_cf(true); }

void cmc(Cpu& cpu, const Insn&) { cpu.flags.set_cf(!cpu.flags.cf()); }

void clear_direction(Cpu& cpu, const Insn&) { cpu.other_flags &= ~flag::df; }

void set_direction(Cpu& cpu, const Insn&) { cpu.other_flags |= flag::df; }

// Which flag CLI and STI work on, by privilege: IF, or VIF where virtual interrupts are on, or none: #GP.
std::uint64_t interrupt_flag(Cpu& cpu) {
    if (!cpu.protected_mode() || cpu.cpl() <= cpu.iopl()) {
        if (!cpu.v86() || cpu.iopl() == 3) {
            return flag::if_;
        }
    }
    const bool virtual_8086 = cpu.v86() && (cpu.system.cr4 & x86::cr4::vme);
    const bool protected_virtual = !cpu.v86() && cpu.cpl() == 3 && (cpu.system.cr4 & x86::cr4::pvi);
    if (!virtual_8086 && !protected_virtual) {
        cpu.raise_gp();
    }
    return flag::vif;
}

void cli(Cpu& cpu, const Insn&) { cpu.set_rflags(cpu.rflags() & ~interrupt_flag(cpu)); }

// Interrupts stay off for one more instruction.
void sti(Cpu& cpu, const Insn&) {
    const std::uint64_t which = interrupt_flag(cpu), before = cpu.rflags();
    if (which == flag::vif && (before & flag::vip)) {
        cpu.raise_gp();
    }
    if (which == flag::if_ && (before & flag::if_) == 0) {
        cpu.sti_shadow = true;
        cpu.end_block(); // the loop looks after the instruction in the shadow
    }
    cpu.set_rflags(before | which);
}

void lahf(Cpu& cpu, const Insn&) { cpu.set_reg<std::uint8_t>(ah, static_cast<std::uint8_t>(cpu.rflags())); }

void sahf(Cpu& cpu, const Insn&) {
    constexpr std::uint64_t loaded = flag::sf | flag::zf | flag::af | flag::pf | flag::cf;
    cpu.flags.set_arithmetic((cpu.flags.arithmetic() & ~loaded) | (cpu.reg<std::uint8_t>(ah) & loaded));
}

void salc(Cpu& cpu, const Insn&) { cpu.set_reg<std::uint8_t>(x86::rax, cpu.flags.cf() ? 0xFF : 0); }

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_CLC, always<clc>},           {ZYDIS_MNEMONIC_STC, always<stc>},
    {ZYDIS_MNEMONIC_CMC, always<cmc>},           {ZYDIS_MNEMONIC_CLD, always<clear_direction>},
    {ZYDIS_MNEMONIC_STD, always<set_direction>}, {ZYDIS_MNEMONIC_CLI, always<cli>},
    {ZYDIS_MNEMONIC_STI, always<sti>},           {ZYDIS_MNEMONIC_LAHF, always<lahf>},
    {ZYDIS_MNEMONIC_SAHF, always<sahf>},         {ZYDIS_MNEMONIC_SALC, always<salc>},
};

} // namespace

Rows flag_control_rows() { return rows; }

} // namespace strata::cpu::interpreter
