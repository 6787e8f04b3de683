// Local APICs in the kernel: what goes to them, and their state in the form that all engines share.
#include "base/bytes.hpp"
#include "cpu/kvm/kernel_apics.hpp"
#include "cpu/kvm/list.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <sys/eventfd.h>

namespace strata::cpu::kvm {
namespace {

// Keeps what it is asked.
class ListeningKvm final : public Calls {
public:
    FileDescriptor open_device() override { return {}; }

    std::string processor_flags() override { return {}; }

    int ioctl(int, unsigned long request, std::uintptr_t argument) override {
        const auto* from = std::bit_cast<const std::uint8_t*>(argument);
        if (request == KVM_SIGNAL_MSI) {
            std::memcpy(&messages.emplace_back(), from, sizeof(kvm_msi));
        } else if (request == set_gsi_routing) {
            ListHeader header;
            std::memcpy(&header, from, sizeof header);
            routes.resize(header.count);
            std::memcpy(routes.data(), from + sizeof header, header.count * sizeof(kvm_irq_routing_entry));
        }
        return 0;
    }

    std::vector<kvm_msi> messages;
    std::vector<kvm_irq_routing_entry> routes;
};

class KernelApicsTest : public testing::Test {
protected:
    ListeningKvm kernel;
    Descriptor machine{kernel, FileDescriptor(::eventfd(0, EFD_CLOEXEC))};
    KernelApics apics{machine};
};

TEST_F(KernelApicsTest, MessagesAreTheKernelsToDeliver) {
    apics.send({.address = 0xFEE0'1004, .data = 0x4051});
    ASSERT_EQ(kernel.messages.size(), 1U);
    EXPECT_EQ(kernel.messages[0].address_lo, 0xFEE0'1004U);
    EXPECT_EQ(kernel.messages[0].address_hi, 0U);
    EXPECT_EQ(kernel.messages[0].data, 0x4051U);
}

TEST_F(KernelApicsTest, LevelTriggeredOnesAreRoutesOfPins) {
    const std::vector<InterruptMessage> messages(40, {.address = 0xFEE0'0000, .data = 0xC059});
    apics.set_level_messages(messages);
    ASSERT_EQ(kernel.routes.size(), KernelApics::io_apic_pins) << "as many as the kernel looks at";
    for (std::uint32_t pin = 0; pin < kernel.routes.size(); ++pin) {
        EXPECT_EQ(kernel.routes[pin].gsi, pin);
        EXPECT_EQ(kernel.routes[pin].type, std::uint32_t{KVM_IRQ_ROUTING_MSI});
        EXPECT_EQ(kernel.routes[pin].u.msi.data, 0xC059U);
    }
    apics.set_level_messages({});
    EXPECT_TRUE(kernel.routes.empty());
}

TEST_F(KernelApicsTest, TheEndOfAnInterruptIsTold) {
    apics.end_of_interrupt(0x59); // nobody listens yet
    int ended = 0;
    apics.on_end_of_interrupt([&](std::uint8_t vector) { ended = vector; });
    apics.end_of_interrupt(0x59);
    EXPECT_EQ(ended, 0x59);
}

TEST(KvmLocalApicState, EveryRegisterHasItsPlace) {
    x86::LocalApicState state;
    for (std::uint32_t number = 0; number < state.registers.size(); ++number) {
        state.registers[number] = 0x1000 + number;
    }
    const auto lapic = to_lapic(state, 3);
    EXPECT_EQ(load_le<std::uint32_t>(&lapic.regs[0x320]), 0x1032U);
    EXPECT_EQ(load_le<std::uint32_t>(&lapic.regs[0x20]), 3U << 24) << "the ID is the vCPU's";
    state.registers[2] = 3U << 24;
    EXPECT_EQ(from_lapic(lapic).registers, state.registers);
}

TEST(KvmLocalApicState, WhatTheKernelLacksIsMasked) {
    constexpr std::uint32_t masked = 1 << 16;
    EXPECT_EQ(from_lapic(kvm_lapic_state{}).registers[0x2F], masked);
}

} // namespace
} // namespace strata::cpu::kvm
