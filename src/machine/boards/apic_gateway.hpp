// The way of interrupt messages to local APICs that the engine's vCPUs have themselves, and of the ends of
// interrupt from there to the I/O APIC.
#pragma once

#include "cpu/assistance.hpp"
#include "devices/irq/apic_bus.hpp"
#include "machine/boards/board.hpp"

namespace strata::machine {

class ApicGateway final : public devices::MessageCarrier {
public:
    // All outlive it.
    ApicGateway(cpu::LocalApics& local_apics, devices::ApicBus& bus, DeviceLock& lock);

    void carry(const devices::InterruptMessage& message) override;
    void set_level_messages(std::span<const devices::InterruptMessage> messages) override;

private:
    cpu::LocalApics& local_apics_;
};

} // namespace strata::machine
