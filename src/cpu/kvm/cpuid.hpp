// CPUID on KVM: a model filtered by what the host has, in the kernel's form.
#pragma once

#include "cpu/engine.hpp"
#include "cpu/kvm/system.hpp"

#include <linux/kvm.h>
#include <vector>

namespace strata::cpu::kvm {

// The features of the model that the host can't give.
[[nodiscard]] std::vector<x86::Feature> missing_features(const System& system, const x86::Model& model);

// See Engine::model_for().
[[nodiscard]] Result<x86::Model> fit_model(const System& system, const x86::Model& model);

// All leaves that a vCPU of this configuration shows; the bus has its say in each.
[[nodiscard]] std::vector<kvm_cpuid_entry2> cpuid_entries(const VcpuConfig& config, Bus& bus);

} // namespace strata::cpu::kvm
