// Loading segment registers. SDM volume 3 sections 3.4.4, 5.6, 5.7, 20.1.1; volume 2, MOV and POP.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/descriptors.hpp"

#include <algorithm>

namespace strata::cpu::interpreter {
namespace {

using x86::Descriptor;
using x86::Segment;
using x86::Vector;

// Real mode changes the base alone: limit and rights stay what protected mode left ("unreal" mode).
Segment real_mode_segment(const Segment& old, std::uint16_t selector) {
    Segment segment = old;
    if (segment.unusable) {
        segment = {.attributes = 0x93};
    }
    segment.selector = selector;
    segment.base = std::uint64_t{selector} << 4;
    return segment;
}

Segment stack_segment(Cpu& cpu, std::uint16_t selector) {
    const unsigned cpl = cpu.cpl();
    if (x86::is_null(selector)) {
        if (!cpu.code64() || cpl == 3 || x86::rpl_of(selector) != cpl) {
            cpu.raise_gp(0);
        }
        return x86::null_segment(selector, cpl);
    }
    Descriptor descriptor = read_descriptor(cpu, selector);
    if (x86::rpl_of(selector) != cpl || descriptor.dpl() != cpl || !descriptor.is_writable_data()) {
        cpu.raise_gp(x86::selector_error(selector));
    }
    if (!descriptor.present()) {
        cpu.raise(Vector::stack_fault, x86::selector_error(selector));
    }
    mark_accessed(cpu, selector, descriptor);
    return descriptor.segment(selector);
}

Segment data_segment(Cpu& cpu, std::uint16_t selector) {
    if (x86::is_null(selector)) {
        return x86::null_segment(selector);
    }
    Descriptor descriptor = read_descriptor(cpu, selector);
    const bool privileged =
        !descriptor.is_conforming_code() && descriptor.dpl() < std::max(cpu.cpl(), x86::rpl_of(selector));
    if (!descriptor.is_readable() || privileged) {
        cpu.raise_gp(x86::selector_error(selector));
    }
    if (!descriptor.present()) {
        cpu.raise(Vector::segment_not_present, x86::selector_error(selector));
    }
    mark_accessed(cpu, selector, descriptor);
    return descriptor.segment(selector);
}

Segment checked_segment(Cpu& cpu, unsigned segment, std::uint16_t selector) {
    if (!cpu.protected_mode()) {
        return real_mode_segment(cpu.system.segments[segment], selector);
    }
    if (cpu.v86()) {
        return x86::v86_segment(selector);
    }
    return segment == x86::ss ? stack_segment(cpu, selector) : data_segment(cpu, selector);
}

} // namespace

void Cpu::load_segment(unsigned segment, std::uint16_t selector) {
    system.segments[segment] = checked_segment(*this, segment, selector);
    segment_changed(segment);
}

} // namespace strata::cpu::interpreter
