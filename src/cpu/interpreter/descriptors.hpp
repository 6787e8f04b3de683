// Access to the descriptor tables and the stacks of the TSS: what segment loads, control transfers and event
// delivery share. SDM volume 3 sections 3.5, 5.8.5, 6.14.
#pragma once

#include "cpu/interpreter/cpu.hpp"
#include "cpu/x86/descriptor.hpp"

#include <cstdint>
#include <optional>

namespace strata::cpu::interpreter {

// An address in a system table: outside IA-32e mode, linear addresses have 32 bits.
[[nodiscard]] inline std::uint64_t table_address(const Cpu& cpu, std::uint64_t base, std::uint64_t offset) {
    return cpu.long_mode() ? base + offset : static_cast<std::uint32_t>(base + offset);
}

// The descriptor that a selector names; empty if it lies beyond its table's limit. In IA-32e mode, system
// descriptors are read with their upper half.
[[nodiscard]] std::optional<x86::Descriptor> find_descriptor(Cpu& cpu, std::uint16_t selector);

// The same for a selector that must be good: raises `vector` with the selector.
[[nodiscard]] x86::Descriptor read_descriptor(Cpu& cpu, std::uint16_t selector,
                                              x86::Vector vector = x86::Vector::general_protection);

// Sets the accessed bit in the table (code and data segments).
void mark_accessed(Cpu& cpu, std::uint16_t selector, x86::Descriptor& descriptor);
// The busy bit of a TSS type in a segment register, and in a descriptor of the GDT.
inline constexpr std::uint16_t busy_attribute = 2;
void set_busy(Cpu& cpu, std::uint16_t selector, bool busy);

// The stack that the TSS holds for a privilege level.
struct InnerStack {
    x86::Segment ss;
    std::uint64_t sp = 0;
};

// Outside IA-32e mode: from the 16- or 32-bit TSS, SS checked; faults are #TS, #SS.
[[nodiscard]] InnerStack inner_stack(Cpu& cpu, unsigned privilege);
// In IA-32e mode: RSPn, or ISTn if `interrupt_stack` is not 0; SS is null.
[[nodiscard]] InnerStack inner_stack64(Cpu& cpu, unsigned privilege, unsigned interrupt_stack);

// #SS(error_code) unless `count` values of `size` bytes can be pushed on this stack.
void check_stack_room(Cpu& cpu, const InnerStack& stack, unsigned count, unsigned size,
                      std::uint32_t error_code);

} // namespace strata::cpu::interpreter
