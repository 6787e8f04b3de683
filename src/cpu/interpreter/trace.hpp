// Lines of text about what a processor does, for --trace.
#pragma once

#include "cpu/interpreter/events.hpp"

namespace strata::cpu::interpreter {

// The instruction of `length` bytes before RIP, which is about to execute.
void trace_instruction(Cpu& cpu, unsigned length);
// An exception or interrupt that is about to be delivered, if it is to be traced.
void trace_event(Cpu& cpu, const Event& event);

} // namespace strata::cpu::interpreter
