// Faults of task switches, and the switches that instructions make. SDM volume 3 section 7.3.
#pragma once

#include "cpu/interpreter/cpu.hpp"

namespace strata::cpu::interpreter {

// A fault that belongs to the new task: the switch is done, and RIP is the new task's.
struct NewTaskFault : Fault {};

// For JMP, CALL and IRET: a fault of the new task is delivered in it at once.
void switch_task(Cpu& cpu, std::uint16_t selector, bool nested, bool from_iret);

} // namespace strata::cpu::interpreter
