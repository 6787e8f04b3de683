// SYSCALL and SYSRET between 64-bit code without the interpreter, where a kernel has set them up as kernels
// do: SYSCALL clears all arithmetic flags, IF, TF and AC; SYSRET sets nothing but arithmetic flags and IF.
// The rest is the interpreter's.
#pragma once

#include "cpu/interpreter/fast_system_calls.hpp"

#include <array>
#include <cstdint>

namespace strata::cpu::translator {

// What translated code loads, made from MSRs when they change.
struct FastSystemCalls {
    std::uint32_t calls = 0, returns = 0; // whether SYSCALL, SYSRET are done here
    std::uint64_t kept_flags = 0;         // by SYSCALL, but for the arithmetic ones
    interpreter::CodeAndStack supervisor, user;

    // Bits that PEXT takes out.
    std::uint64_t other_flags = interpreter::sysret_flags & ~x86::flag::arithmetic;
    std::uint64_t upper_half = ~std::uint64_t{0} << 47; // of linear addresses

    // `jumps_are_wide`: whether the JumpCaches of supervisor and user know 64-bit code.
    void look_at(const x86::SystemState& system, std::array<bool, 2> jumps_are_wide);

private:
    std::array<std::uint64_t, 4> msrs_{}; // as they were last
    bool usual_ = false;                  // they are as described above
};

} // namespace strata::cpu::translator
