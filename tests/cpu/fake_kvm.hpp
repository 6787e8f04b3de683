// A kernel's KVM as a host may have it, good or bad, in place of /dev/kvm.
#pragma once

#include "cpu/kvm/calls.hpp"
#include "cpu/kvm/list.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <linux/kvm.h>
#include <set>
#include <sys/eventfd.h>
#include <vector>

namespace strata::cpu::kvm {

class FakeKvm final : public Calls {
public:
    int open_error = 0;                    // errno of opening the device
    std::string flags = " fpu svm lm ";    // of the processor
    int version = KVM_API_VERSION;         // of the interface
    int create_error = 0;                  // errno of creating a machine
    std::set<std::uintptr_t> without{};    // capabilities that the kernel lacks
    std::vector<kvm_cpuid_entry2> cpuid{}; // what the processor can give
    int tsc_khz = 2'400'000;

    FileDescriptor open_device() override {
        errno = open_error;
        return open_error != 0 ? FileDescriptor() : descriptor();
    }

    std::string processor_flags() override { return flags; }

    int ioctl(int, unsigned long request, std::uintptr_t argument) override {
        switch (request) {
        case KVM_GET_API_VERSION: errno = ENOTTY; return version;
        case KVM_CHECK_EXTENSION: return without.contains(argument) ? 0 : 1;
        case KVM_GET_VCPU_MMAP_SIZE: return 3 * 4096;
        case get_supported_cpuid: return give_cpuid(std::bit_cast<std::uint8_t*>(argument));
        case KVM_CREATE_VM: errno = create_error; return create_error != 0 ? -1 : descriptor().release();
        case KVM_CREATE_VCPU: return descriptor().release();
        case KVM_GET_TSC_KHZ: return tsc_khz;
        default: errno = ENOTTY; return -1;
        }
    }

private:
    static FileDescriptor descriptor() { return FileDescriptor(::eventfd(0, EFD_CLOEXEC)); }

    int give_cpuid(std::uint8_t* list) const {
        ListHeader header;
        std::memcpy(&header, list, sizeof header);
        if (header.count < cpuid.size()) {
            errno = E2BIG;
            return -1;
        }
        header.count = static_cast<std::uint32_t>(cpuid.size());
        std::memcpy(list, &header, sizeof header);
        std::copy_n(reinterpret_cast<const std::uint8_t*>(cpuid.data()),
                    cpuid.size() * sizeof(kvm_cpuid_entry2), list + sizeof header);
        return 0;
    }
};

} // namespace strata::cpu::kvm
