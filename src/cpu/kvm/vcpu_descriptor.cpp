#include "cpu/kvm/vcpu_descriptor.hpp"

#include "cpu/kvm/list.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <sys/mman.h>

namespace strata::cpu::kvm {
namespace {

std::unexpected<Error> refused_msr(const char* verb, std::uint32_t index) {
    char number[16];
    std::snprintf(number, sizeof(number), "%#x", index);
    return fail("KVM does not let " + std::string(verb) + " MSR " + number);
}

} // namespace

void VcpuDescriptor::Unmap::operator()(kvm_run* run) const { ::munmap(run, size); }

Result<VcpuDescriptor> VcpuDescriptor::create(const Machine& machine, unsigned id) {
    const auto number = STRATA_KVM_CALL(machine.descriptor(), KVM_CREATE_VCPU, std::uintptr_t{id});
    if (!number) {
        return std::unexpected(number.error());
    }
    FileDescriptor file(*number);
    const std::size_t size = machine.system().run_size();
    void* const mapping = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (mapping == MAP_FAILED) {
        return fail_errno("map", "a vCPU's shared memory");
    }
    return VcpuDescriptor(Descriptor(machine.descriptor().calls(), std::move(file)),
                          static_cast<kvm_run*>(mapping), size);
}

std::uint8_t* VcpuDescriptor::data(std::uint64_t offset, std::uint64_t size) const {
    const std::uint64_t end = run_.get_deleter().size;
    if (offset > end || size > end - offset) {
        return nullptr;
    }
    return reinterpret_cast<std::uint8_t*>(run_.get()) + offset;
}

Result<void> VcpuDescriptor::set_cpuid(std::span<const kvm_cpuid_entry2> entries) const {
    List list(entries);
    if (auto set = descriptor_.call(set_cpuid2, "KVM_SET_CPUID2", list.address()); !set) {
        return std::unexpected(set.error());
    }
    return {};
}

Result<void> VcpuDescriptor::read_msrs(std::span<kvm_msr_entry> entries) const {
    List list(std::span<const kvm_msr_entry>{entries});
    const auto got = descriptor_.call(get_msrs, "KVM_GET_MSRS", list.address());
    if (!got) {
        return std::unexpected(got.error());
    }
    if (static_cast<std::size_t>(*got) < entries.size()) {
        return refused_msr("read", entries[static_cast<std::size_t>(*got)].index);
    }
    std::ranges::copy(list.entries(), entries.begin());
    return {};
}

Result<void> VcpuDescriptor::write_msrs(std::span<const kvm_msr_entry> entries) const {
    List list(entries);
    const auto set = descriptor_.call(set_msrs, "KVM_SET_MSRS", list.address());
    if (!set) {
        return std::unexpected(set.error());
    }
    if (static_cast<std::size_t>(*set) < entries.size()) {
        return refused_msr("write", entries[static_cast<std::size_t>(*set)].index);
    }
    return {};
}

// ---- the TSC's offset, as a device attribute ----

namespace {

kvm_device_attr tsc_attribute(std::int64_t* offset) {
    return {.flags = 0,
            .group = KVM_VCPU_TSC_CTRL,
            .attr = KVM_VCPU_TSC_OFFSET,
            .addr = std::bit_cast<std::uintptr_t>(offset)};
}

} // namespace

Result<std::int64_t> VcpuDescriptor::tsc_offset() const {
    std::int64_t offset = 0;
    auto attribute = tsc_attribute(&offset);
    if (auto got = STRATA_KVM_CALL(descriptor_, KVM_GET_DEVICE_ATTR, &attribute); !got) {
        return std::unexpected(got.error());
    }
    return offset;
}

Result<void> VcpuDescriptor::set_tsc_offset(std::int64_t offset) const {
    auto attribute = tsc_attribute(&offset);
    if (auto set = STRATA_KVM_CALL(descriptor_, KVM_SET_DEVICE_ATTR, &attribute); !set) {
        return std::unexpected(set.error());
    }
    return {};
}

} // namespace strata::cpu::kvm
