// Delivery of exceptions and interrupts: what happens when one occurs while another is delivered. SDM volume
// 3 sections 6.12, 6.13, 6.15 (double fault) and 17.3.1.1.
#include "cpu/interpreter/events.hpp"
#include "cpu/interpreter/tasks.hpp"
#include "cpu/interpreter/trace.hpp"
#include "cpu/x86/descriptor.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::Vector;

enum class Class : std::uint8_t { benign, contributory, page_fault, double_fault };

Class class_of(const Event& event) {
    if (event.kind != Cpu::EventKind::exception) {
        return Class::benign;
    }
    switch (static_cast<Vector>(event.vector)) {
    case Vector::divide_error:
    case Vector::invalid_tss:
    case Vector::segment_not_present:
    case Vector::stack_fault:
    case Vector::general_protection: return Class::contributory;
    case Vector::page_fault: return Class::page_fault;
    case Vector::double_fault: return Class::double_fault;
    default: return Class::benign;
    }
}

// Whether the error code names a descriptor and so has an EXT bit.
bool names_descriptor(Vector vector) {
    return vector == Vector::invalid_tss || vector == Vector::segment_not_present ||
           vector == Vector::stack_fault || vector == Vector::general_protection;
}

Event exception(Vector vector, std::uint32_t error_code) {
    return {static_cast<std::uint8_t>(vector), Cpu::EventKind::exception, error_code};
}

// A fault in the delivery of something that the program did not ask for says so.
Fault marked_external(Fault fault) {
    if (names_descriptor(fault.vector)) {
        fault.error_code |= x86::selector_error_bit::external;
    }
    return fault;
}

// What to deliver after `fault` occurred in the delivery of `first`; empty: shutdown.
std::optional<Event> combine(const Event& first, const Fault& fault) {
    const Event second = exception(fault.vector, marked_external(fault).error_code);
    const Class first_class = class_of(first), second_class = class_of(second);
    const bool serious = second_class == Class::contributory || second_class == Class::page_fault;
    if (first_class == Class::double_fault && serious) {
        return std::nullopt;
    }
    if ((first_class == Class::contributory && second_class == Class::contributory) ||
        (first_class == Class::page_fault && serious)) {
        return exception(Vector::double_fault, 0);
    }
    return second;
}

void deliver_once(Cpu& cpu, const Event& event) {
    if (event.kind == Cpu::EventKind::nmi) {
        cpu.nmi_blocked = true;
    } else if (event.kind == Cpu::EventKind::exception &&
               event.vector == static_cast<std::uint8_t>(Vector::debug)) {
        cpu.system.dr7 &= ~x86::dr7::gd; // the handler may use the debug registers
    }
    if (!cpu.protected_mode()) {
        deliver_real(cpu, event);
    } else if (cpu.long_mode()) {
        deliver_long(cpu, event);
    } else {
        deliver_protected(cpu, event);
    }
}

void enter_shutdown(Cpu& cpu) {
    cpu.activity = x86::Activity::shutdown;
    cpu.end_block();
}

} // namespace

bool pushes_error_code(const Event& event) {
    if (event.kind != Cpu::EventKind::exception) {
        return false;
    }
    switch (static_cast<Vector>(event.vector)) {
    case Vector::double_fault:
    case Vector::invalid_tss:
    case Vector::segment_not_present:
    case Vector::stack_fault:
    case Vector::general_protection:
    case Vector::page_fault:
    case Vector::alignment_check: return true;
    default: return false;
    }
}

std::uint64_t pushed_flags(const Cpu& cpu, const Event& event) {
    const auto vector = static_cast<Vector>(event.vector);
    const bool fault = event.kind == Cpu::EventKind::exception && vector != Vector::debug &&
                       vector != Vector::breakpoint && vector != Vector::overflow &&
                       vector != Vector::double_fault && vector != Vector::machine_check;
    return fault ? cpu.rflags() | x86::flag::rf : cpu.rflags();
}

void Cpu::deliver(std::uint8_t vector, EventKind kind, std::uint32_t error_code) {
    Event event{vector, kind, error_code};
    event_delivered();
    wrap_rip();
    // Each fault in a delivery leads to the next; that ends soon unless task gates lead in a circle.
    constexpr int longest_chain = 16;
    for (int i = 0; i < longest_chain; ++i) {
        std::optional<Event> next;
        if (config_.trace.any()) {
            trace_event(*this, event);
        }
        try {
            deliver_once(*this, event);
            return;
        } catch (const NewTaskFault& fault) {
            next = combine(event, fault);
        } catch (const Fault& fault) {
            if (event.kind == EventKind::software) {
                throw; // the fault is the INT instruction's own
            }
            if (event.kind == EventKind::software_privileged) {
                throw marked_external(fault);
            }
            next = combine(event, fault);
        }
        if (!next) {
            break;
        }
        event = *next;
    }
    enter_shutdown(*this);
}

} // namespace strata::cpu::interpreter
