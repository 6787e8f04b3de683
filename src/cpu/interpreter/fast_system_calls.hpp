// What SYSCALL and SYSRET between 64-bit code load. SDM volume 2.
#pragma once

#include "cpu/x86/registers.hpp"
#include "cpu/x86/state.hpp"

#include <cstdint>

namespace strata::cpu::interpreter {

struct CodeAndStack {
    x86::Segment code, stack; // CS, SS
};

// Of IA32_STAR.
[[nodiscard]] CodeAndStack syscall_segments(std::uint64_t star);
[[nodiscard]] CodeAndStack sysret_segments(std::uint64_t star);

// What SYSRET takes over from R11.
inline constexpr std::uint64_t sysret_flags = x86::flag::arithmetic | x86::flag::tf | x86::flag::if_ |
                                              x86::flag::df | x86::flag::iopl | x86::flag::nt |
                                              x86::flag::ac | x86::flag::vif | x86::flag::vip | x86::flag::id;

} // namespace strata::cpu::interpreter
