#include "interpreted_fpu.hpp"

namespace strata::cpu::testing {

std::optional<x86::Vector> InterpretedFpu::run(std::span<const std::uint8_t> instruction, FpuCase& state) {
    constexpr std::uint64_t code_at = 0x1765, memory_at = TestCpu::data_at + 0x540;
    interpreter::Cpu& cpu = *machine_.cpu;
    cpu.fp = state.fp;
    cpu.regs[x86::rax] = state.rax;
    cpu.regs[x86::rdx] = memory_at;
    cpu.regs[x86::rdi] = memory_at;
    cpu.regs[x86::rsp] = TestCpu::stack_top;
    cpu.set_rflags(state.rflags & x86::flag::arithmetic);
    machine_.write_bytes(memory_at, state.memory);
    machine_.run(instruction, code_at);
    if (const auto vector = machine_.caught()) {
        return static_cast<x86::Vector>(*vector);
    }
    state.fp = cpu.fp;
    const auto fip = static_cast<std::uint32_t>(cpu.fp.fip), fdp = static_cast<std::uint32_t>(cpu.fp.fdp);
    state.fp.fip = fip == code_at ? own_instruction : fip;
    state.fp.fdp = fdp == memory_at ? own_memory : fdp;
    state.rax = cpu.regs[x86::rax];
    state.rflags = cpu.rflags();
    EXPECT_TRUE(machine_.memory->read(memory_at, state.memory.data(), state.memory.size()));
    return std::nullopt;
}

} // namespace strata::cpu::testing
