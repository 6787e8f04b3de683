// What stands in the guest's memory beside the arena: page tables, descriptor tables, handlers that halt, so
// that an exception's frame can be read from outside.
#pragma once

#include "cpu/x86/state.hpp"
#include "memory/guest_memory.hpp"
#include "test_case.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace strata::oracle {

// In which mode of the processor the guest's system runs: 32- and 16-bit code is compatibility-mode code in
// long mode.
enum class SystemMode : std::uint8_t { long_mode, protected_mode, virtual_8086 };

inline constexpr std::uint64_t guest_ram = 2 << 20;
inline constexpr std::uint64_t arena_physical = 0x2'0000;
// Virtual-8086 code sees the arena here.
inline constexpr std::uint64_t low_arena = 0x2'0000;

inline constexpr std::uint64_t handler_stride = 16;
inline constexpr unsigned handlers = 32;

// Writes the tables to an empty guest memory; `host` is its first byte.
void write_guest_tables(std::byte* host);

// System registers for user-level code over those tables.
[[nodiscard]] cpu::x86::SystemState guest_system_state(SystemMode mode);

// A segment register as loading `selector` leaves it in protected and long mode, for selectors that the
// tables have.
[[nodiscard]] cpu::x86::Segment guest_segment(std::uint16_t selector);

// What a handler that has halted was given.
struct ExceptionFrame {
    std::uint8_t vector = 0;
    std::uint32_t error_code = 0;
    std::uint64_t rip = 0, rflags = 0, rsp = 0;
    std::uint16_t cs = 0, ss = 0;
    std::array<std::uint16_t, 4> data_segments{}; // ES, DS, FS, GS, of virtual-8086 code
};

// None if `state` is not that of a handler that has halted.
[[nodiscard]] std::optional<ExceptionFrame>
read_exception_frame(SystemMode mode, const cpu::x86::State& state, const std::byte* host);

} // namespace strata::oracle
