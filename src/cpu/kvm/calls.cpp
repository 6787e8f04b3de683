#include "cpu/kvm/calls.hpp"

#include <fcntl.h>
#include <fstream>
#include <sys/ioctl.h>

namespace strata::cpu::kvm {
namespace {

class HostCalls final : public Calls {
public:
    // For reading: a confined monitor that moves to this engine can open nothing else, and KVM asks for no
    // more.
    FileDescriptor open_device() override { return FileDescriptor(::open("/dev/kvm", O_RDONLY | O_CLOEXEC)); }

    std::string processor_flags() override {
        std::ifstream file("/proc/cpuinfo");
        for (std::string line; std::getline(file, line);) {
            if (line.starts_with("flags")) {
                return line.substr(line.find(':') + 1) + ' ';
            }
        }
        return {};
    }

    int ioctl(int descriptor, unsigned long request, std::uintptr_t argument) override {
        return ::ioctl(descriptor, request, argument);
    }
};

} // namespace

Calls& host_calls() {
    static HostCalls calls;
    return calls;
}

} // namespace strata::cpu::kvm
