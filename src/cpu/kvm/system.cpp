#include "cpu/kvm/system.hpp"

#include "cpu/kvm/list.hpp"

#include <array>
#include <cerrno>
#include <cstring>

namespace strata::cpu::kvm {
namespace {

struct Capability {
    int number;
    std::string_view name;
    std::string_view since; // the kernel that brought it
};

// What the engine is built on; a kernel from 5.16 on has all of it.
constexpr std::array required{
    Capability{KVM_CAP_USER_MEMORY, "user memory", "2.6.25"},
    Capability{KVM_CAP_EXT_CPUID, "CPUID leaves with flags", "2.6.26"},
    Capability{KVM_CAP_VCPU_EVENTS, "vCPU events", "2.6.33"},
    Capability{KVM_CAP_DEBUGREGS, "debug registers", "2.6.35"},
    Capability{KVM_CAP_XSAVE, "XSAVE state", "2.6.37"},
    Capability{KVM_CAP_SIGNAL_MSI, "interrupt messages", "3.5"},
    Capability{KVM_CAP_READONLY_MEM, "read-only memory", "3.7"},
    Capability{KVM_CAP_SPLIT_IRQCHIP, "local APICs in the kernel", "4.5"},
    Capability{KVM_CAP_IMMEDIATE_EXIT, "immediate exit", "4.12"},
    Capability{KVM_CAP_X86_USER_SPACE_MSR, "MSRs in user space", "5.10"},
    Capability{KVM_CAP_X86_MSR_FILTER, "MSR filters", "5.10"},
    Capability{KVM_CAP_VCPU_ATTRIBUTES, "vCPU attributes (the TSC's offset)", "5.16"},
};

bool has(const std::string& flags, std::string_view flag) {
    return flags.find(" " + std::string(flag) + " ") != std::string::npos;
}

// How a host gets what its processor may have.
std::string way_to_hardware(const std::string& flags) {
    if (has(flags, "svm")) {
        return "load the module: modprobe kvm_amd";
    }
    if (has(flags, "vmx")) {
        return "load the module: modprobe kvm_intel";
    }
    if (has(flags, "hypervisor")) {
        return "this host is a virtual machine: let its hypervisor give it VT-x or AMD-V (nested "
               "virtualization)";
    }
    return "enable VT-x or AMD-V in the firmware's setup, if the processor has it";
}

std::unexpected<Error> cannot_open(int code, const std::string& flags) {
    switch (code) {
    case ENOENT:
    case ENODEV:
    case ENXIO: return fail_errno("open", "/dev/kvm", code, way_to_hardware(flags));
    case EACCES:
    case EPERM:
        return fail_errno("open", "/dev/kvm", code, "join its group: usermod -aG kvm USER, and log in again");
    default: return fail_errno("open", "/dev/kvm", code);
    }
}

} // namespace

Result<System> System::open(Calls& calls) {
    FileDescriptor device = calls.open_device();
    if (!device) {
        const int code = errno;
        return cannot_open(code, calls.processor_flags());
    }
    if (const std::string flags = calls.processor_flags(); !has(flags, "svm") && !has(flags, "vmx")) {
        return fail("/dev/kvm is there, but the processor has neither VT-x nor AMD-V",
                    way_to_hardware(flags));
    }
    System system(Descriptor(calls, std::move(device)));
    if (auto checked = system.check(); !checked) {
        return std::unexpected(checked.error());
    }
    if (auto read = system.read_supported_cpuid(); !read) {
        return std::unexpected(read.error());
    }
    return system;
}

Result<void> System::check() {
    const int version = descriptor_.raw(KVM_GET_API_VERSION);
    if (version < 0) {
        const int code = errno;
        return fail("/dev/kvm does not answer as KVM: " + std::string(std::strerror(code)),
                    "another device has its name: remove that, and load KVM's modules again");
    }
    if (version != KVM_API_VERSION) {
        return fail("/dev/kvm speaks version " + std::to_string(version) + " of its interface, not " +
                        std::to_string(KVM_API_VERSION),
                    "a kernel of this century has it");
    }
    for (const Capability& capability : required) {
        if (descriptor_.raw(KVM_CHECK_EXTENSION, static_cast<std::uintptr_t>(capability.number)) <= 0) {
            return fail("the kernel's KVM lacks " + std::string(capability.name),
                        "it came with Linux " + std::string(capability.since) +
                            "; Strata needs 5.16 or newer");
        }
    }
    const auto size = STRATA_KVM_CALL(descriptor_, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (!size) {
        return std::unexpected(size.error());
    }
    run_size_ = static_cast<std::size_t>(*size);
    if (run_size_ < sizeof(kvm_run)) {
        return fail("/dev/kvm gives vCPUs too little shared memory");
    }
    return {};
}

Result<void> System::read_supported_cpuid() {
    constexpr std::size_t most = 1024;
    List<kvm_cpuid_entry2> list(most);
    if (const auto got = descriptor_.call(get_supported_cpuid, "KVM_GET_SUPPORTED_CPUID", list.address());
        !got) {
        return std::unexpected(got.error());
    }
    supported_cpuid_ = list.entries();
    return {};
}

Result<Descriptor> System::create_machine() const {
    const int number = descriptor_.raw(KVM_CREATE_VM, std::uintptr_t{0});
    if (number < 0) {
        const int code = errno;
        return fail_errno("create", "a machine by /dev/kvm", code,
                          code == EBUSY
                              ? "another hypervisor (VirtualBox, VMware) holds the processor: stop its "
                                "machines, or unload its module"
                              : "");
    }
    return Descriptor(descriptor_.calls(), FileDescriptor(number));
}

// The kernel tells it of vCPUs only.
Result<std::uint64_t> System::tsc_hz() const {
    const auto machine = create_machine();
    if (!machine) {
        return std::unexpected(machine.error());
    }
    const int number = machine->raw(KVM_CREATE_VCPU, std::uintptr_t{0});
    if (number < 0) {
        return fail_errno("create", "a vCPU by /dev/kvm");
    }
    const Descriptor vcpu(descriptor_.calls(), FileDescriptor(number));
    const auto khz = STRATA_KVM_CALL(vcpu, KVM_GET_TSC_KHZ, 0);
    if (!khz) {
        return std::unexpected(khz.error());
    }
    return std::uint64_t{1000} * static_cast<unsigned>(*khz);
}

} // namespace strata::cpu::kvm
