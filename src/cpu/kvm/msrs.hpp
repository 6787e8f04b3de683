// The MSRs that are a vCPU's own state, and those that belong to the platform. SDM volume 4.
#pragma once

#include "cpu/x86/model.hpp"
#include "cpu/x86/state.hpp"

#include <cstdint>
#include <linux/kvm.h>
#include <vector>

namespace strata::cpu::kvm {

// The values of all MSRs of this state that the model has and the kernel keeps. IA32_TSC is not among them:
// its offset is set instead.
[[nodiscard]] std::vector<kvm_msr_entry> to_msrs(const x86::State& state, const x86::Model& model);
// `entries` has the indices of to_msrs(), with the kernel's values.
void from_msrs(const std::vector<kvm_msr_entry>& entries, x86::State& state);

inline constexpr std::uint32_t tsc_msr = 0x10, apic_base_msr = 0x1B, tsc_deadline_msr = 0x6E0;

// A range of MSRs that the kernel hands to the bus.
struct MsrRange {
    std::uint32_t first, count;
};

// The paravirtual clocks.
inline constexpr MsrRange platform_msrs[] = {{0x11, 2}, {0x4B56'4D00, 2}};

} // namespace strata::cpu::kvm
