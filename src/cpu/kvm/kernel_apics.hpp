// Local APICs in the kernel, one a vCPU, where interrupts, inter-processor interrupts and timers cost no way
// out of it; the 8259s and the I/O APIC stay in user space ("split"). Linux, Documentation/virt/kvm/api.rst,
// KVM_CAP_SPLIT_IRQCHIP.
#pragma once

#include "cpu/assistance.hpp"
#include "cpu/kvm/descriptor.hpp"

#include <linux/kvm.h>

namespace strata::cpu::kvm {

class KernelApics final : public LocalApics {
public:
    static constexpr unsigned io_apic_pins = 24;

    // The machine's, which outlives this.
    explicit KernelApics(const Descriptor& machine) : machine_(machine) {}

    void send(const InterruptMessage& message) override;
    void set_level_messages(std::span<const InterruptMessage> messages) override;

    void on_end_of_interrupt(std::function<void(std::uint8_t vector)> callback) override {
        end_of_interrupt_ = std::move(callback);
    }

    // A vCPU's thread.
    void end_of_interrupt(std::uint8_t vector) const {
        if (end_of_interrupt_) {
            end_of_interrupt_(vector);
        }
    }

private:
    const Descriptor& machine_;
    std::function<void(std::uint8_t vector)> end_of_interrupt_;
};

// A local APIC's state, to and from the kernel's form of the register page. `id` is the APIC ID.
[[nodiscard]] kvm_lapic_state to_lapic(const x86::LocalApicState& state, std::uint32_t id);
[[nodiscard]] x86::LocalApicState from_lapic(const kvm_lapic_state& lapic);

} // namespace strata::cpu::kvm
