// Interrupts and exceptions on their way to a handler: one delivery function a mode. SDM volume 3 chapter 6.
#pragma once

#include "cpu/interpreter/cpu.hpp"

namespace strata::cpu::interpreter {

struct Event {
    std::uint8_t vector;
    Cpu::EventKind kind;
    std::uint32_t error_code = 0;

    // INT n, INT3 and INTO are subject to the gate's DPL; INT1 is not.
    [[nodiscard]] bool is_software() const { return kind == Cpu::EventKind::software; }
};

[[nodiscard]] bool pushes_error_code(const Event& event);
// RFLAGS as the handler finds them on its stack: with RF after a fault, so that its instruction can start
// again.
[[nodiscard]] std::uint64_t pushed_flags(const Cpu& cpu, const Event& event);

// An INT n that virtual-8086 mode's redirection bitmap sends to the 8086 program's own table.
void deliver_redirected(Cpu& cpu, std::uint8_t vector);

// Each faults with nothing changed, as far as the architecture allows.
void deliver_real(Cpu& cpu, const Event& event);
void deliver_protected(Cpu& cpu, const Event& event); // from virtual-8086 mode too
void deliver_long(Cpu& cpu, const Event& event);

} // namespace strata::cpu::interpreter
