// A vCPU's registers in the kernel's structures and in the form that all engines share. Linux kernel
// documentation, "The Definitive KVM API Documentation".
#pragma once

#include "cpu/x86/model.hpp"
#include "cpu/x86/state.hpp"

#include <array>
#include <cstdint>
#include <linux/kvm.h>

namespace strata::cpu::kvm {

[[nodiscard]] kvm_regs to_regs(const x86::State& state);
void from_regs(const kvm_regs& regs, x86::State& state);

// What is the board's (IA32_APIC_BASE, CR8) stays as it is in `current`.
[[nodiscard]] kvm_sregs to_sregs(const x86::State& state, const kvm_sregs& current);
void from_sregs(const kvm_sregs& sregs, x86::State& state);

[[nodiscard]] kvm_debugregs to_debugregs(const x86::State& state);
void from_debugregs(const kvm_debugregs& debugregs, x86::State& state);

// struct kvm_xsave without its flexible end, which C++ counts to its size: the standard XSAVE format.
using XsaveArea = std::array<std::uint8_t, 4096>;
inline constexpr unsigned long get_xsave = _IOR(KVMIO, 0xA4, XsaveArea),
                               set_xsave = _IOW(KVMIO, 0xA5, XsaveArea);
[[nodiscard]] XsaveArea to_xsave(const x86::State& state, const x86::Model& model);
void from_xsave(const XsaveArea& bytes, x86::State& state);

// Shadows and NMI blocking.
[[nodiscard]] kvm_vcpu_events to_events(const x86::State& state);
void from_events(const kvm_vcpu_events& events, x86::State& state);
// Whether an interrupt or exception was accepted that is not delivered yet: no part of x86::State.
[[nodiscard]] bool event_under_way(const kvm_vcpu_events& events);

} // namespace strata::cpu::kvm
