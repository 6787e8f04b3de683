#include "cpu/interpreter/x87/instruction.hpp"

namespace strata::cpu::interpreter::x87 {

// The error line leads through the interrupt controller back to INTR. If it arrives there and interrupts are
// enabled, the handler runs first, and finds FIP at the instruction that failed; this one is executed after
// it. If not, nobody listens, and the exception is ignored as with IGNNE#.
bool report_pending(Cpu& cpu, const Insn& insn) {
    if (cpu.system.cr0 & x86::cr0::ne) {
        cpu.raise(x86::Vector::x87_fault);
    }
    {
        const x86::HostEnvironment host;
        cpu.bus().floating_point_error();
    }
    const bool interrupted =
        (cpu.signals().pending() & Signals::interrupt) && (cpu.rflags() & x86::flag::if_);
    if (interrupted) {
        cpu.rip() -= insn.length;
        cpu.end_block();
    }
    return !interrupted;
}

} // namespace strata::cpu::interpreter::x87
