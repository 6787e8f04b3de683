// A vCPU's descriptor: the memory shared with the kernel, and the requests with types.
#pragma once

#include "cpu/kvm/descriptor.hpp"
#include "cpu/kvm/machine.hpp"

#include <linux/kvm.h>
#include <memory>
#include <span>
#include <vector>

namespace strata::cpu::kvm {

class VcpuDescriptor {
public:
    [[nodiscard]] static Result<VcpuDescriptor> create(const Machine& machine, unsigned id);

    // The first page is the kernel's struct; data of port accesses lie behind it.
    [[nodiscard]] kvm_run& run() const { return *run_; }

    // `size` bytes at this offset of the shared memory; null if they do not lie in it.
    [[nodiscard]] std::uint8_t* data(std::uint64_t offset, std::uint64_t size) const;

    // A structure by one of the kernel's get or set requests.
    template <class T>
    [[nodiscard]] Result<T> get(unsigned long request, std::string_view name) const {
        T value{};
        if (auto got = descriptor_.call(request, name, &value); !got) {
            return std::unexpected(got.error());
        }
        return value;
    }

    template <class T>
    [[nodiscard]] Result<int> set(unsigned long request, std::string_view name, T value) const {
        return descriptor_.call(request, name, &value);
    }

    [[nodiscard]] Result<void> set_cpuid(std::span<const kvm_cpuid_entry2> entries) const;
    // Reads or writes all of the entries; the error names the first that the kernel refuses.
    [[nodiscard]] Result<void> read_msrs(std::span<kvm_msr_entry> entries) const;
    [[nodiscard]] Result<void> write_msrs(std::span<const kvm_msr_entry> entries) const;

    // What is added to the host's (scaled) TSC.
    [[nodiscard]] Result<std::int64_t> tsc_offset() const;
    [[nodiscard]] Result<void> set_tsc_offset(std::int64_t offset) const;

    [[nodiscard]] const Descriptor& descriptor() const { return descriptor_; }

private:
    struct Unmap {
        std::size_t size;
        void operator()(kvm_run* run) const;
    };

    VcpuDescriptor(Descriptor descriptor, kvm_run* run, std::size_t size)
        : descriptor_(std::move(descriptor)), run_(run, Unmap{size}) {}

    Descriptor descriptor_;
    std::unique_ptr<kvm_run, Unmap> run_;
};

#define STRATA_KVM_GET(vcpu, type, request) (vcpu).get<type>(request, #request)
#define STRATA_KVM_SET(vcpu, request, value) (vcpu).set(request, #request, value)

} // namespace strata::cpu::kvm
