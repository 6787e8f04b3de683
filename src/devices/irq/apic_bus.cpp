#include "devices/irq/apic_bus.hpp"

#include "base/bits.hpp"
#include "devices/irq/io_apic.hpp"
#include "devices/irq/local_apic.hpp"

namespace strata::devices {

bool ApicBus::deliver(const InterruptMessage& message) {
    if (carrier_ != nullptr) {
        carrier_->carry(message);
        return true;
    }
    if (message.mode == DeliveryMode::lowest_priority) {
        return deliver_to_lowest_priority(message);
    }
    bool accepted = false;
    for (LocalApic* apic : local_) {
        if (apic->matches(message.destination, message.logical)) {
            accepted |= apic->accept(message);
        }
    }
    return accepted;
}

void ApicBus::deliver_to_all(const InterruptMessage& message, const LocalApic* except) {
    for (LocalApic* apic : local_) {
        if (apic != except && apic->enabled()) {
            apic->accept(message);
        }
    }
}

bool ApicBus::deliver_to_lowest_priority(const InterruptMessage& message) {
    LocalApic* chosen = nullptr;
    for (LocalApic* apic : local_) {
        if (apic->accepts_interrupts() && apic->matches(message.destination, message.logical) &&
            (chosen == nullptr || apic->processor_priority() < chosen->processor_priority())) {
            chosen = apic;
        }
    }
    return chosen != nullptr && chosen->accept(message);
}

void ApicBus::send_msi(std::uint64_t address, std::uint32_t data) {
    if (address >> 20 != 0xFEE) {
        return;
    }
    constexpr unsigned logical_bit = 2, assert_bit = 14, level_bit = 15;
    const bool level_triggered = test_bit(data, level_bit);
    if (level_triggered && !test_bit(data, assert_bit)) {
        return;
    }
    deliver({.destination = widen_destination(static_cast<std::uint8_t>(bits(address, 19, 12))),
             .logical = test_bit(address, logical_bit),
             .mode = static_cast<DeliveryMode>(bits(data, 10, 8)),
             .vector = static_cast<std::uint8_t>(data),
             .level_triggered = level_triggered});
}

void ApicBus::set_carrier(MessageCarrier* carrier) {
    carrier_ = carrier;
    io_apic_changed();
}

void ApicBus::io_apic_changed() {
    if (carrier_ == nullptr) {
        return;
    }
    std::vector<InterruptMessage> messages;
    for (const IoApic* apic : io_) {
        apic->add_level_messages(messages);
    }
    carrier_->set_level_messages(messages);
}

void ApicBus::broadcast_eoi(std::uint8_t vector) {
    for (IoApic* apic : io_) {
        apic->end_of_interrupt(vector);
    }
}

} // namespace strata::devices
