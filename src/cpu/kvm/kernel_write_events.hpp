// Writes that the kernel turns into signals of an eventfd while the vCPU stays in the guest ("ioeventfd").
// Linux, Documentation/virt/kvm/api.rst, KVM_IOEVENTFD.
#pragma once

#include "cpu/assistance.hpp"
#include "cpu/kvm/descriptor.hpp"

#include <linux/kvm.h>

namespace strata::cpu::kvm {

class KernelWriteEvents final : public WriteEvents {
public:
    // The machine's, which outlives this.
    explicit KernelWriteEvents(const Descriptor& machine) : machine_(machine) {}

    bool add(memory::GuestPhysical address, int eventfd) override { return request(address, eventfd, 0); }

    void remove(memory::GuestPhysical address, int eventfd) override {
        static_cast<void>(request(address, eventfd, KVM_IOEVENTFD_FLAG_DEASSIGN));
    }

private:
    [[nodiscard]] bool request(memory::GuestPhysical address, int eventfd, std::uint32_t flags) const {
        kvm_ioeventfd event{};
        event.addr = address; // `len` of 0: any
        event.fd = eventfd;
        event.flags = flags;
        return machine_.raw(KVM_IOEVENTFD, &event) == 0;
    }

    const Descriptor& machine_;
};

} // namespace strata::cpu::kvm
