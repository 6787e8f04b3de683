// Writing the control registers, with every check and side effect. SDM volume 3 sections 2.5, 4.10.4, 9.8.5.
#pragma once

#include "cpu/interpreter/cpu.hpp"

#include <cstdint>

namespace strata::cpu::interpreter {

void set_cr0(Cpu& cpu, std::uint64_t value);
void set_cr3(Cpu& cpu, std::uint64_t value);
void set_cr4(Cpu& cpu, std::uint64_t value);
void set_efer(Cpu& cpu, std::uint64_t value);

} // namespace strata::cpu::interpreter
