// The instruction that a processor is about to run, decoded and as text.
#pragma once

#include "cpu/interpreter/cpu.hpp"
#include "memory/guest_memory.hpp"

#include <Zydis/Zydis.h>
#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace strata::cpu::lockstep {

struct Instruction {
    ZydisDecodedInstruction decoded;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
    std::uint64_t linear;
    std::optional<memory::GuestPhysical> physical; // of its first byte

    [[nodiscard]] std::string text() const;
};

// None: its bytes can't be read, or are no instruction.
[[nodiscard]] std::optional<Instruction> instruction_at_rip(const interpreter::Cpu& cpu,
                                                            const memory::GuestMemory& memory);

} // namespace strata::cpu::lockstep
