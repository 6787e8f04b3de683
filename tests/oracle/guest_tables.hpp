// What stands in the guest's memory beside the arena: page tables, descriptor tables, handlers that halt, so
// that an exception's frame can be read from outside.
#pragma once

#include "cpu/x86/state.hpp"
#include "memory/guest_memory.hpp"
#include "test_case.hpp"

#include <cstdint>

namespace strata::oracle {

inline constexpr std::uint64_t guest_ram = 2 << 20;
inline constexpr std::uint64_t arena_physical = 0x2'0000;
// All of physical memory, for supervisors, where Linux keeps itself: no case means to reach it.
inline constexpr std::uint64_t supervisor_base = 0xFFFF'8000'0000'0000;

inline constexpr std::uint64_t handler_stride = 16;
inline constexpr unsigned handlers = 32;

// Writes the tables to an empty guest memory; `host` is its first byte.
void write_guest_tables(std::byte* host);

// System registers for user-level code over those tables, in long mode.
[[nodiscard]] cpu::x86::SystemState guest_system_state();

// A segment register as loading `selector` leaves it, for selectors that the tables have.
[[nodiscard]] cpu::x86::Segment guest_segment(std::uint16_t selector);

// The vector whose handler halted before `rip`; none if it is no handler.
[[nodiscard]] int halted_vector(std::uint64_t rip);

} // namespace strata::oracle
