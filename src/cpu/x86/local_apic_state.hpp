// What a local APIC holds, as its register page shows it. SDM volume 3 section 10.4.1.
#pragma once

#include <array>
#include <cstdint>

namespace strata::cpu::x86 {

struct LocalApicState {
    std::array<std::uint32_t, 0x40> registers{}; // by number: the offset in the page / 16
    std::uint64_t base = 0;                      // IA32_APIC_BASE
    std::uint64_t tsc_deadline = 0;              // IA32_TSC_DEADLINE, as the guest's counter has it
};

} // namespace strata::cpu::x86
