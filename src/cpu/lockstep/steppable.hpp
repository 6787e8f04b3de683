// Which instructions the host's processor can do again as single steps, so that the outcome can be compared.
#pragma once

#include "cpu/lockstep/instruction_at.hpp"
#include "cpu/lockstep/stretch.hpp"
#include "cpu/x86/registers.hpp"
#include "cpu/x86/state.hpp"

#include <algorithm>

namespace strata::cpu::lockstep {

// Not those that never give the same twice, nor those that store RFLAGS or load them: KVM steps by RFLAGS.TF,
// which the guest would see in what is stored, or which a load takes away. Nor those that bring the guest out
// for many accesses at once, or not at all. Nor far transfers: QEMU's processor, where this is tested, does
// not mark the descriptors of code segments as accessed.
[[nodiscard]] inline bool steppable(const Instruction& instruction, const x86::State& before) {
    constexpr std::uint64_t tsc_msr = 0x10;
    if (instruction.decoded.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
        return false;
    }
    switch (instruction.decoded.mnemonic) {
    case ZYDIS_MNEMONIC_CPUID: // KVM's was made before the guest changed it
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_INSD:
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_INTO:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_OUTSB:
    case ZYDIS_MNEMONIC_OUTSD:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
    case ZYDIS_MNEMONIC_STI: // the trap may wait for the end of its shadow
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSENTER:
    case ZYDIS_MNEMONIC_SYSEXIT:
    case ZYDIS_MNEMONIC_SYSRET: return false;
    case ZYDIS_MNEMONIC_RDMSR:
    case ZYDIS_MNEMONIC_WRMSR: return (before.gpr[x86::rcx] & 0xFFFF'FFFF) != tsc_msr;
    default: return !before.movss_shadow && (before.rflags & x86::flag::tf) == 0;
    }
}

// Whether the calls of the bus that an instruction made come out of KVM, too: not those to the local APIC,
// which the kernel has one of.
[[nodiscard]] inline bool come_out(const Stretch& stretch) {
    constexpr memory::GuestPhysical apic = 0xFEE0'0000;
    using Kind = BusCall::Kind;
    return std::ranges::all_of(stretch.calls, [](const BusCall& call) {
        const bool port = call.kind == Kind::read_port || call.kind == Kind::write_port;
        const bool memory = call.kind == Kind::read_mmio || call.kind == Kind::write_mmio;
        return port || (memory && call.place - apic >= memory::page_size);
    });
}

} // namespace strata::cpu::lockstep
