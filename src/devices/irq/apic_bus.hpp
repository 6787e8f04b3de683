// Carries interrupt messages from whoever sends them (local APICs, I/O APICs, devices by MSI) to the local
// APICs that they address, and ends of interrupt back to the I/O APICs. SDM volume 3
// sections 10.6.2, 10.8.5, 10.11.
#pragma once

#include "devices/device.hpp"
#include "devices/irq/message.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace strata::devices {

class LocalApic;
class IoApic;

// Takes messages to local APICs that are not the machine's, but the processors' own. Under the device lock.
class MessageCarrier {
public:
    virtual ~MessageCarrier() = default;
    virtual void carry(const InterruptMessage& message) = 0;
    // What the I/O APICs send for level-triggered pins now: of these vectors they want to know the end.
    virtual void set_level_messages(std::span<const InterruptMessage> messages) = 0;
};

class ApicBus final : public MsiSink {
public:
    // Local APICs and I/O APICs add themselves; they live as long as the bus is used.
    void add(LocalApic& apic) { local_.push_back(&apic); }

    void add(IoApic& apic) { io_.push_back(&apic); }

    // Whether a local APIC took it.
    bool deliver(const InterruptMessage& message);
    // To every local APIC but `except` (null: none), whatever the destination says.
    void deliver_to_all(const InterruptMessage& message, const LocalApic* except);
    // Writes elsewhere than 0xFEExxxxx are no interrupts and are dropped.
    void send_msi(std::uint64_t address, std::uint32_t data) override;
    // From now on all messages go to it; null: to the machine's own local APICs.
    void set_carrier(MessageCarrier* carrier);
    // An I/O APIC's entries have changed.
    void io_apic_changed();
    // A level-triggered interrupt has been handled.
    void broadcast_eoi(std::uint8_t vector);

    [[nodiscard]] const std::vector<LocalApic*>& local_apics() const { return local_; }

private:
    bool deliver_to_lowest_priority(const InterruptMessage& message);

    std::vector<LocalApic*> local_;
    std::vector<IoApic*> io_;
    MessageCarrier* carrier_ = nullptr;
};

} // namespace strata::devices
