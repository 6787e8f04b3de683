// /dev/kvm: whether this host can run machines by its processor, and what it can give them. Linux kernel
// documentation, "The Definitive KVM API Documentation", section 4.
#pragma once

#include "base/error.hpp"
#include "cpu/kvm/descriptor.hpp"
#include "cpu/x86/model.hpp"

#include <cstdint>
#include <linux/kvm.h>
#include <optional>
#include <string>
#include <vector>

namespace strata::cpu::kvm {

class System {
public:
    // Opens the device and checks that the kernel has all that the engine needs. Errors have the way out.
    [[nodiscard]] static Result<System> open(Calls& calls = host_calls());

    // A new machine, empty.
    [[nodiscard]] Result<Descriptor> create_machine() const;

    // The size of the memory that a vCPU shares with the kernel (struct kvm_run and what follows it).
    [[nodiscard]] std::size_t run_size() const { return run_size_; }

    // The rate of the host's TSC, as guests see it when nothing is scaled.
    [[nodiscard]] Result<std::uint64_t> tsc_hz() const;

    // What CPUID may show of the host; sorted as the kernel gives it.
    [[nodiscard]] const std::vector<kvm_cpuid_entry2>& supported_cpuid() const { return supported_cpuid_; }

    [[nodiscard]] const Descriptor& descriptor() const { return descriptor_; }

private:
    explicit System(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

    [[nodiscard]] Result<void> check();
    [[nodiscard]] Result<void> read_supported_cpuid();

    Descriptor descriptor_;
    std::size_t run_size_ = 0;
    std::vector<kvm_cpuid_entry2> supported_cpuid_;
};

} // namespace strata::cpu::kvm
