// RDMSR, WRMSR, RDTSC, RDTSCP, RDPID, RDPMC, CPUID, XGETBV, XSETBV. SDM volume 2; volume 3
// sections 2.6, 17.17.
#include "cpu/interpreter/msrs.hpp"
#include "cpu/interpreter/system_rows.hpp"

#include <array>

namespace strata::cpu::interpreter {
namespace {

// EDX:EAX; the upper halves of RDX and RAX are cleared.
void set_pair(Cpu& cpu, std::uint64_t value) {
    cpu.set_reg<std::uint32_t>(x86::rax, static_cast<std::uint32_t>(value));
    cpu.set_reg<std::uint32_t>(x86::rdx, static_cast<std::uint32_t>(value >> 32));
}

std::uint64_t pair(const Cpu& cpu) {
    return std::uint64_t{cpu.reg<std::uint32_t>(x86::rdx)} << 32 | cpu.reg<std::uint32_t>(x86::rax);
}

void read_model_specific(Cpu& cpu, const Insn&) {
    require_cpl0(cpu);
    set_pair(cpu, read_msr(cpu, cpu.reg<std::uint32_t>(x86::rcx)));
}

void write_model_specific(Cpu& cpu, const Insn&) {
    require_cpl0(cpu);
    write_msr(cpu, cpu.reg<std::uint32_t>(x86::rcx), pair(cpu));
    cpu.end_block(); // it may have raised an interrupt or changed an address that code depends on
}

void require_time_stamp(Cpu& cpu) {
    if (cpu.cpl() != 0 && (cpu.system.cr4 & x86::cr4::tsd) != 0) {
        cpu.raise_gp(0);
    }
}

void read_time_stamp(Cpu& cpu, const Insn&) {
    require_time_stamp(cpu);
    set_pair(cpu, cpu.tsc());
}

void read_time_stamp_and_id(Cpu& cpu, const Insn&) {
    require_time_stamp(cpu);
    set_pair(cpu, cpu.tsc());
    cpu.set_reg<std::uint32_t>(x86::rcx, static_cast<std::uint32_t>(cpu.system.tsc_aux));
}

void read_processor_id(Cpu& cpu, const Insn& insn) { cpu.regs[insn.rm] = cpu.system.tsc_aux; }

// No model has performance counters: every number of one is invalid.
void read_performance_counter(Cpu& cpu, const Insn&) { cpu.raise_gp(0); }

void identify(Cpu& cpu, const Insn&) {
    const auto leaf = cpu.reg<std::uint32_t>(x86::rax), subleaf = cpu.reg<std::uint32_t>(x86::rcx);
    const VcpuConfig& config = cpu.config();
    const x86::CpuidContext context{.apic_id = config.id,
                                    .vcpu_count = config.count,
                                    .osxsave = (cpu.system.cr4 & x86::cr4::osxsave) != 0,
                                    .code64 = cpu.code64(),
                                    .xcr0 = cpu.system.xcr0,
                                    .xss = cpu.system.xss,
                                    .tsc_hz = config.tsc_hz};
    const x86::CpuidResult result = x86::cpuid(cpu.model(), leaf, subleaf, context);
    std::array registers{result.eax, result.ebx, result.ecx, result.edx};
    cpu.bus().adjust_cpuid(leaf, subleaf, registers);
    cpu.set_reg(x86::rax, registers[0]);
    cpu.set_reg(x86::rbx, registers[1]);
    cpu.set_reg(x86::rcx, registers[2]);
    cpu.set_reg(x86::rdx, registers[3]);
}

// ---- extended control registers ----

void require_osxsave(Cpu& cpu) {
    if ((cpu.system.cr4 & x86::cr4::osxsave) == 0) {
        cpu.raise_ud();
    }
}

// XCR0, and as number 1 which of its components are in use. None is tracked as initial.
void get_extended_control(Cpu& cpu, const Insn&) {
    require_osxsave(cpu);
    const auto index = cpu.reg<std::uint32_t>(x86::rcx);
    if (index > (cpu.model().has(x86::Feature::xgetbv1) ? 1U : 0U)) {
        cpu.raise_gp(0);
    }
    set_pair(cpu, cpu.system.xcr0);
}

void set_extended_control(Cpu& cpu, const Insn&) {
    require_osxsave(cpu);
    require_cpl0(cpu);
    constexpr std::uint64_t x87 = 1, sse = 2, avx = 4;
    const std::uint64_t value = pair(cpu);
    const bool avx_without_sse = (value & avx) != 0 && (value & sse) == 0;
    if (cpu.reg<std::uint32_t>(x86::rcx) != 0 || (value & x87) == 0 || avx_without_sse ||
        (value & ~x86::supported_xcr0(cpu.model())) != 0) {
        cpu.raise_gp(0);
    }
    cpu.system.xcr0 = value;
    cpu.mode_changed(); // whether AVX instructions exist
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_RDMSR, select_always<read_model_specific>},
    {ZYDIS_MNEMONIC_WRMSR, select_always<write_model_specific>},
    {ZYDIS_MNEMONIC_RDTSC, select_always<read_time_stamp>},
    {ZYDIS_MNEMONIC_RDTSCP, select_always<read_time_stamp_and_id>},
    {ZYDIS_MNEMONIC_RDPID, select_always<read_processor_id>},
    {ZYDIS_MNEMONIC_RDPMC, select_always<read_performance_counter>},
    {ZYDIS_MNEMONIC_CPUID, select_always<identify>},
    {ZYDIS_MNEMONIC_XGETBV, select_always<get_extended_control>},
    {ZYDIS_MNEMONIC_XSETBV, select_always<set_extended_control>},
};

} // namespace

Rows msr_rows() { return rows; }

} // namespace strata::cpu::interpreter
