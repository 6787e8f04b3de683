// Descriptor-table look-ups and the stacks of the TSS. SDM volume 3 sections 3.5, 5.8.5, 6.12.1, 6.14.2
// and 7.2.
#include "cpu/interpreter/descriptors.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::Descriptor;
using x86::SystemType;
using x86::Vector;

constexpr std::uint64_t accessed_bit = bit(40);

struct Table {
    std::uint64_t base;
    std::uint32_t limit;
};

// The table that a selector points into; limit 0 with an unusable LDT makes every look-up fail.
Table table_of(const Cpu& cpu, std::uint16_t selector) {
    if (x86::is_local(selector)) {
        const x86::Segment& ldtr = cpu.system.ldtr;
        return {ldtr.base, ldtr.unusable ? 0 : ldtr.limit};
    }
    return {cpu.system.gdtr.base, cpu.system.gdtr.limit};
}

bool is_16bit_tss(const x86::Segment& tr) {
    const auto type = static_cast<SystemType>(tr.type());
    return type == SystemType::tss16_available || type == SystemType::tss16_busy;
}

// A field of the current TSS; #TS(TR) if it lies beyond the limit.
template <class T>
T tss_field(Cpu& cpu, std::uint32_t offset, std::uint32_t last) {
    const x86::Segment& tr = cpu.system.tr;
    if (last > tr.limit) {
        cpu.raise(Vector::invalid_tss, x86::selector_error(tr.selector));
    }
    return cpu.load_linear<T>(table_address(cpu, tr.base, offset), true);
}

} // namespace

std::optional<Descriptor> find_descriptor(Cpu& cpu, std::uint16_t selector) {
    const Table table = table_of(cpu, selector);
    const std::uint32_t offset = selector & ~7U;
    if (offset + 7 > table.limit) {
        return std::nullopt;
    }
    Descriptor descriptor{cpu.load_linear<std::uint64_t>(table_address(cpu, table.base, offset), true)};
    if (cpu.long_mode() && descriptor.is_system()) {
        if (offset + 15 > table.limit) {
            return std::nullopt;
        }
        descriptor.high = cpu.load_linear<std::uint64_t>(table_address(cpu, table.base, offset + 8), true);
    }
    return descriptor;
}

Descriptor read_descriptor(Cpu& cpu, std::uint16_t selector, Vector vector) {
    const auto descriptor = find_descriptor(cpu, selector);
    if (!descriptor) {
        cpu.raise(vector, x86::selector_error(selector));
    }
    return *descriptor;
}

void mark_accessed(Cpu& cpu, std::uint16_t selector, Descriptor& descriptor) {
    if ((descriptor.low & accessed_bit) != 0) {
        return;
    }
    descriptor.low |= accessed_bit;
    const std::uint64_t address = table_address(cpu, table_of(cpu, selector).base, (selector & ~7U) + 5);
    cpu.store_linear(address, static_cast<std::uint8_t>(descriptor.low >> 40), true);
}

void set_busy(Cpu& cpu, std::uint16_t selector, bool busy) {
    const std::uint64_t address = table_address(cpu, cpu.system.gdtr.base, (selector & ~7U) + 5);
    const auto old = cpu.load_linear<std::uint8_t>(address, true);
    constexpr auto mask = static_cast<std::uint8_t>(busy_attribute);
    cpu.store_linear(address, static_cast<std::uint8_t>(busy ? old | mask : old & ~mask), true);
}

InnerStack inner_stack(Cpu& cpu, unsigned privilege) {
    InnerStack stack;
    std::uint16_t selector = 0;
    if (is_16bit_tss(cpu.system.tr)) {
        const std::uint32_t offset = 2 + privilege * 4;
        stack.sp = tss_field<std::uint16_t>(cpu, offset, offset + 3);
        selector = tss_field<std::uint16_t>(cpu, offset + 2, offset + 3);
    } else {
        const std::uint32_t offset = 4 + privilege * 8;
        stack.sp = tss_field<std::uint32_t>(cpu, offset, offset + 5);
        selector = tss_field<std::uint16_t>(cpu, offset + 4, offset + 5);
    }
    if (x86::is_null(selector)) {
        cpu.raise(Vector::invalid_tss, 0);
    }
    Descriptor descriptor = read_descriptor(cpu, selector, Vector::invalid_tss);
    if (x86::rpl_of(selector) != privilege || descriptor.dpl() != privilege ||
        !descriptor.is_writable_data()) {
        cpu.raise(Vector::invalid_tss, x86::selector_error(selector));
    }
    if (!descriptor.present()) {
        cpu.raise(Vector::stack_fault, x86::selector_error(selector));
    }
    mark_accessed(cpu, selector, descriptor);
    stack.ss = descriptor.segment(selector);
    return stack;
}

InnerStack inner_stack64(Cpu& cpu, unsigned privilege, unsigned interrupt_stack) {
    const std::uint32_t offset = interrupt_stack != 0 ? 28 + interrupt_stack * 8 : 4 + privilege * 8;
    InnerStack stack{x86::null_segment(static_cast<std::uint16_t>(privilege), privilege),
                     tss_field<std::uint64_t>(cpu, offset, offset + 7)};
    if (!cpu.canonical(stack.sp)) {
        cpu.raise(Vector::stack_fault, 0);
    }
    return stack;
}

void check_stack_room(Cpu& cpu, const InnerStack& stack, unsigned count, unsigned size,
                      std::uint32_t error_code) {
    const std::uint32_t mask = stack.ss.big() ? 0xFFFF'FFFF : 0xFFFF;
    const bool expand_down = (stack.ss.type() & x86::segment_type::expand_down) != 0;
    for (unsigned i = 1; i <= count; ++i) {
        const std::uint32_t first = static_cast<std::uint32_t>(stack.sp - std::uint64_t{i} * size) & mask;
        const std::uint64_t last = std::uint64_t{first} + size - 1;
        const bool inside = expand_down ? first > stack.ss.limit && last <= mask : last <= stack.ss.limit;
        if (!inside) {
            cpu.raise(Vector::stack_fault, error_code);
        }
    }
}

} // namespace strata::cpu::interpreter
