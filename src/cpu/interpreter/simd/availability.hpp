// Whether the operating system lets SSE and AVX instructions execute. SDM volume 1 sections 11.6.2, 14.8;
// volume 2A section 2.4 (exception conditions of classes 1 to 12).
#pragma once

#include "cpu/interpreter/rows.hpp"
#include "cpu/x86/registers.hpp"
#include "cpu/x86/state.hpp"

namespace strata::cpu::interpreter {

[[nodiscard]] constexpr Availability sse_availability(const x86::SystemState& system) {
    if ((system.cr0 & x86::cr0::em) || !(system.cr4 & x86::cr4::osfxsr)) {
        return Availability::invalid_opcode;
    }
    return system.cr0 & x86::cr0::ts ? Availability::device_not_available : Availability::available;
}

[[nodiscard]] constexpr Availability avx_availability(const x86::SystemState& system, bool real_or_v86) {
    constexpr std::uint64_t sse_and_avx_state = 6; // of XCR0
    if (real_or_v86 || !(system.cr4 & x86::cr4::osxsave) ||
        (system.xcr0 & sse_and_avx_state) != sse_and_avx_state) {
        return Availability::invalid_opcode;
    }
    return system.cr0 & x86::cr0::ts ? Availability::device_not_available : Availability::available;
}

} // namespace strata::cpu::interpreter
