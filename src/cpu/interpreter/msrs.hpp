// Model-specific registers. SDM volume 4; APM volume 2 appendix A.
#pragma once

#include "cpu/interpreter/cpu.hpp"

#include <cstdint>

namespace strata::cpu::interpreter {

// #GP(0) if the model has no such register or refuses the value.
[[nodiscard]] std::uint64_t read_msr(Cpu& cpu, std::uint32_t index);
void write_msr(Cpu& cpu, std::uint32_t index, std::uint64_t value);

} // namespace strata::cpu::interpreter
