// Checks and effects common to all control transfers. SDM volume 3 sections 5.8 and 6.12.
#include "cpu/interpreter/transfers.hpp"

namespace strata::cpu::interpreter {

using x86::Descriptor;
using x86::Segment;
using x86::Vector;

void check_target(Cpu& cpu, const x86::Segment& code, std::uint64_t offset) {
    const bool good = cpu.long_mode() && code.long_mode() ? cpu.canonical(offset) : offset <= code.limit;
    if (!good) {
        cpu.raise_gp(0);
    }
}

Segment loaded_code(Cpu& cpu, std::uint16_t selector, Descriptor descriptor, unsigned privilege) {
    if (!descriptor.present()) {
        cpu.raise(Vector::segment_not_present, x86::selector_error(selector));
    }
    mark_accessed(cpu, selector, descriptor);
    return descriptor.segment(x86::with_rpl(selector, privilege));
}

void transfer(Cpu& cpu, const x86::Segment& code, std::uint64_t offset, unsigned privilege) {
    cpu.system.segments[x86::cs] = code;
    cpu.rip() = offset;
    cpu.set_cpl(privilege); // with all that follows from CS and SS
}

Segment return_code_segment(Cpu& cpu, std::uint16_t selector) {
    if (x86::is_null(selector)) {
        cpu.raise_gp(0);
    }
    const Descriptor descriptor = read_descriptor(cpu, selector);
    const unsigned privilege = x86::rpl_of(selector);
    const bool allowed =
        descriptor.is_code() && privilege >= cpu.cpl() &&
        (descriptor.is_conforming_code() ? descriptor.dpl() <= privilege : descriptor.dpl() == privilege);
    const bool mixed_sizes = cpu.long_mode() && descriptor.long_mode() && descriptor.big();
    if (!allowed || mixed_sizes) {
        cpu.raise_gp(x86::selector_error(selector));
    }
    return loaded_code(cpu, selector, descriptor, privilege);
}

Segment return_stack_segment(Cpu& cpu, std::uint16_t selector, const Segment& code) {
    const unsigned privilege = x86::rpl_of(code.selector);
    if (x86::is_null(selector)) {
        const bool to_64bit = cpu.long_mode() && code.long_mode();
        if (!to_64bit || privilege == 3 || x86::rpl_of(selector) != privilege) {
            cpu.raise_gp(0);
        }
        return x86::null_segment(selector, privilege);
    }
    Descriptor descriptor = read_descriptor(cpu, selector);
    if (x86::rpl_of(selector) != privilege || descriptor.dpl() != privilege ||
        !descriptor.is_writable_data()) {
        cpu.raise_gp(x86::selector_error(selector));
    }
    if (!descriptor.present()) {
        cpu.raise(Vector::stack_fault, x86::selector_error(selector));
    }
    mark_accessed(cpu, selector, descriptor);
    return descriptor.segment(selector);
}

void drop_privileged_segments(Cpu& cpu) {
    for (const unsigned index : {x86::es, x86::ds, x86::fs, x86::gs}) {
        Segment& segment = cpu.system.segments[index];
        const bool conforming =
            (segment.type() & (x86::segment_type::code | x86::segment_type::conforming)) ==
            (x86::segment_type::code | x86::segment_type::conforming);
        if (!segment.unusable && !conforming && segment.dpl() < cpu.cpl()) {
            segment = x86::null_segment(0);
            cpu.segment_changed(index);
        }
    }
}

void Transaction::roll_back() {
    cpu_.system.segments[x86::ss] = ss_;
    cpu_.regs[x86::rsp] = rsp_;
    cpu_.other_flags = other_flags_;
    transfer(cpu_, cs_, rip_, cpl_);
}

} // namespace strata::cpu::interpreter
