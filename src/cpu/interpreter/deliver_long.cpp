// Interrupts in IA-32e mode: 16-byte gates, the interrupt stack table, aligned frames. SDM volume 3
// section 6.14.
#include "cpu/interpreter/events.hpp"
#include "cpu/interpreter/transfers.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::Descriptor;
using x86::SystemType;
using x86::Vector;

namespace flag = x86::flag;

constexpr std::uint64_t frame_alignment = 16;

Descriptor read_gate(Cpu& cpu, const Event& event) {
    const std::uint32_t error = event.vector * 8U + x86::selector_error_bit::idt;
    if (event.vector * 16U + 15 > cpu.system.idtr.limit) {
        cpu.raise_gp(error);
    }
    const std::uint64_t address = cpu.system.idtr.base + std::uint64_t{event.vector} * 16;
    const Descriptor gate{cpu.load_linear<std::uint64_t>(address, true),
                          cpu.load_linear<std::uint64_t>(address + 8, true)};
    const bool right_type = gate.is_system() && (gate.system_type() == SystemType::interrupt_gate32 ||
                                                 gate.system_type() == SystemType::trap_gate32);
    if (!right_type || (event.is_software() && gate.dpl() < cpu.cpl())) {
        cpu.raise_gp(error);
    }
    if (!gate.present()) {
        cpu.raise(Vector::segment_not_present, error);
    }
    return gate;
}

Descriptor read_handler_code(Cpu& cpu, std::uint16_t selector) {
    if (x86::is_null(selector)) {
        cpu.raise_gp(0);
    }
    const Descriptor code = read_descriptor(cpu, selector);
    if (!code.is_code() || code.dpl() > cpu.cpl() || !code.long_mode() || code.big()) {
        cpu.raise_gp(x86::selector_error(selector));
    }
    return code;
}

} // namespace

void deliver_long(Cpu& cpu, const Event& event) {
    const Descriptor gate = read_gate(cpu, event);
    const std::uint16_t selector = gate.gate_selector();
    const Descriptor descriptor = read_handler_code(cpu, selector);
    const unsigned privilege = descriptor.is_conforming_code() ? cpu.cpl() : descriptor.dpl();
    const x86::Segment code = loaded_code(cpu, selector, descriptor, privilege);
    const bool inner = privilege < cpu.cpl();
    const bool switch_stack = inner || gate.interrupt_stack() != 0;
    const InnerStack stack =
        switch_stack ? inner_stack64(cpu, privilege, gate.interrupt_stack()) : InnerStack{};
    check_target(cpu, code, gate.gate_offset());

    const std::uint64_t flags = pushed_flags(cpu, event);
    const std::uint16_t old_cs = cpu.system.segments[x86::cs].selector;
    const std::uint16_t old_ss = cpu.system.segments[x86::ss].selector;
    const std::uint64_t old_rip = cpu.rip(), old_rsp = cpu.regs[x86::rsp];
    Transaction transaction(cpu);
    if (inner) {
        cpu.system.segments[x86::ss] = stack.ss;
    }
    transfer(cpu, code, gate.gate_offset(), privilege);
    cpu.regs[x86::rsp] = align_down(switch_stack ? stack.sp : old_rsp, frame_alignment);
    for (const std::uint64_t value :
         {std::uint64_t{old_ss}, old_rsp, flags, std::uint64_t{old_cs}, old_rip}) {
        cpu.push(value, 8);
    }
    if (pushes_error_code(event)) {
        cpu.push(event.error_code, 8);
    }
    transaction.commit();
    const std::uint64_t interrupt_flag = gate.system_type() == SystemType::interrupt_gate32 ? flag::if_ : 0;
    cpu.set_rflags(cpu.rflags() & ~(flag::tf | flag::nt | flag::rf | interrupt_flag));
}

} // namespace strata::cpu::interpreter
