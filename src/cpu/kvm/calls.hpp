// The system calls by which KVM is reached. Tests put a kernel of their own behind them.
#pragma once

#include "base/file_descriptor.hpp"

#include <cstdint>
#include <string>

namespace strata::cpu::kvm {

class Calls {
public:
    virtual ~Calls() = default;
    // /dev/kvm; without a descriptor errno says why.
    [[nodiscard]] virtual FileDescriptor open_device() = 0;
    // The processor's flags as in /proc/cpuinfo, each between spaces.
    [[nodiscard]] virtual std::string processor_flags() = 0;
    // As ioctl(2): -1 and errno.
    virtual int ioctl(int descriptor, unsigned long request, std::uintptr_t argument) = 0;
};

// The host's kernel.
[[nodiscard]] Calls& host_calls();

} // namespace strata::cpu::kvm
