// Interrupts in protected mode and out of virtual-8086 mode: interrupt, trap and task gates. SDM volume 3
// sections 6.11, 6.12 and 20.2; volume 2, INT n.
#include "cpu/interpreter/events.hpp"
#include "cpu/interpreter/transfers.hpp"

#include <array>

namespace strata::cpu::interpreter {
namespace {

using x86::Descriptor;
using x86::Segment;
using x86::SystemType;
using x86::Vector;

namespace flag = x86::flag;

bool is_interrupt_gate(const Descriptor& gate) {
    return gate.system_type() == SystemType::interrupt_gate16 ||
           gate.system_type() == SystemType::interrupt_gate32;
}

bool is_idt_gate(const Descriptor& gate) {
    switch (gate.system_type()) {
    case SystemType::task_gate:
    case SystemType::interrupt_gate16:
    case SystemType::trap_gate16:
    case SystemType::interrupt_gate32:
    case SystemType::trap_gate32: return gate.is_system();
    default: return false;
    }
}

Descriptor read_gate(Cpu& cpu, const Event& event) {
    const std::uint32_t error = event.vector * 8U + x86::selector_error_bit::idt;
    if (event.vector * 8U + 7 > cpu.system.idtr.limit) {
        cpu.raise_gp(error);
    }
    const std::uint64_t address = table_address(cpu, cpu.system.idtr.base, std::uint64_t{event.vector} * 8);
    const Descriptor gate{cpu.load_linear<std::uint64_t>(address, true)};
    if (!is_idt_gate(gate) || (event.is_software() && gate.dpl() < cpu.cpl())) {
        cpu.raise_gp(error);
    }
    if (!gate.present()) {
        cpu.raise(Vector::segment_not_present, error);
    }
    return gate;
}

struct HandlerEntry {
    Segment code;
    std::uint64_t offset;
    unsigned privilege;
    unsigned size; // of the values pushed
};

HandlerEntry find_handler(Cpu& cpu, const Descriptor& gate) {
    const std::uint16_t selector = gate.gate_selector();
    if (x86::is_null(selector)) {
        cpu.raise_gp(0);
    }
    const Descriptor code = read_descriptor(cpu, selector);
    const unsigned privilege = code.is_conforming_code() ? cpu.cpl() : code.dpl();
    // Virtual-8086 mode is left for privilege level 0 alone.
    if (!code.is_code() || code.dpl() > cpu.cpl() || (cpu.v86() && privilege != 0)) {
        cpu.raise_gp(x86::selector_error(selector));
    }
    return {loaded_code(cpu, selector, code, privilege), gate.gate_offset(), privilege,
            gate.is_wide_gate() ? 4U : 2U};
}

void push_frame(Cpu& cpu, const Event& event, std::uint64_t flags, std::uint16_t selector,
                std::uint64_t offset, unsigned size) {
    cpu.push(flags, size);
    cpu.push(selector, size);
    cpu.push(offset, size);
    if (pushes_error_code(event)) {
        cpu.push(event.error_code, size);
    }
}

void deliver_same_privilege(Cpu& cpu, const Event& event, const HandlerEntry& handler) {
    check_target(cpu, handler.code, handler.offset);
    Transaction transaction(cpu);
    push_frame(cpu, event, pushed_flags(cpu, event), cpu.system.segments[x86::cs].selector, cpu.rip(),
               handler.size);
    transfer(cpu, handler.code, handler.offset, handler.privilege);
    transaction.commit();
}

// Out of virtual-8086 mode the data segments are saved too, and are null in the handler.
void push_v86_segments(Cpu& cpu, unsigned size) {
    for (const unsigned index : {x86::gs, x86::fs, x86::ds, x86::es}) {
        cpu.push(cpu.system.segments[index].selector, size);
    }
}

void drop_v86_segments(Cpu& cpu) {
    for (const unsigned index : {x86::gs, x86::fs, x86::ds, x86::es}) {
        cpu.system.segments[index] = x86::null_segment(0);
        cpu.segment_changed(index);
    }
}

void deliver_inner(Cpu& cpu, const Event& event, const HandlerEntry& handler) {
    const bool from_v86 = cpu.v86();
    const InnerStack stack = inner_stack(cpu, handler.privilege);
    const unsigned count = 5 + (from_v86 ? 4 : 0) + (pushes_error_code(event) ? 1 : 0);
    check_stack_room(cpu, stack, count, handler.size, x86::selector_error(stack.ss.selector));
    check_target(cpu, handler.code, handler.offset);

    const std::uint64_t flags = pushed_flags(cpu, event);
    const std::uint16_t old_cs = cpu.system.segments[x86::cs].selector;
    const std::uint16_t old_ss = cpu.system.segments[x86::ss].selector;
    const std::uint64_t old_rip = cpu.rip(), old_rsp = cpu.regs[x86::rsp];
    Transaction transaction(cpu);
    cpu.other_flags &= ~flag::vm;
    cpu.system.segments[x86::ss] = stack.ss;
    transfer(cpu, handler.code, handler.offset, handler.privilege);
    cpu.set_stack_pointer(stack.sp);
    if (from_v86) {
        push_v86_segments(cpu, handler.size);
    }
    cpu.push(old_ss, handler.size);
    cpu.push(old_rsp, handler.size);
    push_frame(cpu, event, flags, old_cs, old_rip, handler.size);
    transaction.commit();
    if (from_v86) {
        drop_v86_segments(cpu);
    }
}

} // namespace

void deliver_protected(Cpu& cpu, const Event& event) {
    const Descriptor gate = read_gate(cpu, event);
    if (gate.system_type() == SystemType::task_gate) {
        cpu.task_switch(gate.gate_selector(), true, false,
                        pushes_error_code(event) ? std::optional{event.error_code} : std::nullopt);
        return;
    }
    const HandlerEntry handler = find_handler(cpu, gate);
    if (handler.privilege < cpu.cpl()) {
        deliver_inner(cpu, event, handler);
    } else {
        deliver_same_privilege(cpu, event, handler);
    }
    const std::uint64_t interrupt_flag = is_interrupt_gate(gate) ? flag::if_ : 0;
    cpu.set_rflags(cpu.rflags() & ~(flag::tf | flag::nt | flag::vm | flag::rf | interrupt_flag));
}

} // namespace strata::cpu::interpreter
