#include "devices/irq/io_apic.hpp"

#include "base/bits.hpp"

namespace strata::devices {
namespace {

// Offsets in the region.
constexpr std::uint64_t select_offset = 0x00, window_offset = 0x10, eoi_offset = 0x40;

// Indirect registers.
constexpr std::uint8_t id_index = 0, version_index = 1, arbitration_index = 2, first_entry_index = 0x10;

constexpr std::uint32_t version = 0x20; // has the EOI register

// Of a redirection table entry.
constexpr unsigned logical_bit = 11, remote_irr_bit = 14, level_bit = 15, mask_bit = 16;
constexpr std::uint64_t status_bits = bit(12) | bit(remote_irr_bit); // read-only
constexpr std::uint64_t writable_bits = (bit(17) - 1) | (std::uint64_t{0xFF} << 56);
constexpr std::uint64_t masked_entry = bit(mask_bit);

DeliveryMode mode_of(std::uint64_t entry) { return static_cast<DeliveryMode>(bits(entry, 10, 8)); }

std::uint8_t vector_of(std::uint64_t entry) { return static_cast<std::uint8_t>(entry); }

// NMI, SMI, INIT and ExtINT are edge-triggered whatever the entry says.
bool is_level(std::uint64_t entry) {
    const auto mode = mode_of(entry);
    return test_bit(entry, level_bit) &&
           (mode == DeliveryMode::fixed || mode == DeliveryMode::lowest_priority);
}

InterruptMessage message_of(std::uint64_t entry) {
    return {.destination = widen_destination(static_cast<std::uint8_t>(bits(entry, 63, 56))),
            .logical = test_bit(entry, logical_bit),
            .mode = mode_of(entry),
            .vector = vector_of(entry),
            .level_triggered = is_level(entry)};
}

} // namespace

IoApic::IoApic(ApicBus& bus, std::uint8_t id, std::uint64_t base)
    : bus_(bus), base_(base), reset_id_(id), id_(id) {
    entries_.fill(masked_entry);
    bus_.add(*this);
}

std::vector<Region> IoApic::regions() const { return {{"ioapic", Space::memory, base_, 0x1000, 4, 4}}; }

bool IoApic::send(std::uint64_t entry) { return bus_.deliver(message_of(entry)); }

void IoApic::add_level_messages(std::vector<InterruptMessage>& to) const {
    for (const std::uint64_t entry : entries_) {
        if (is_level(entry)) {
            to.push_back(message_of(entry));
        }
    }
}

void IoApic::set_pin(unsigned pin, bool asserted) {
    if (pin >= pins) {
        return;
    }
    const bool rises = asserted && !test_bit(levels_, pin);
    levels_ = asserted ? levels_ | bit<std::uint32_t>(pin) : levels_ & ~bit<std::uint32_t>(pin);
    const std::uint64_t entry = entries_[pin];
    if (is_level(entry)) {
        service_level(pin);
    } else if (rises && !test_bit(entry, mask_bit)) {
        send(entry); // an edge on a masked pin is lost
    }
}

void IoApic::service_level(unsigned pin) {
    std::uint64_t& entry = entries_[pin];
    if (is_level(entry) && test_bit(levels_, pin) && !test_bit(entry, mask_bit) &&
        !test_bit(entry, remote_irr_bit) && send(entry)) {
        entry |= bit(remote_irr_bit);
    }
}

void IoApic::end_of_interrupt(std::uint8_t vector) {
    for (unsigned pin = 0; pin < pins; ++pin) {
        if (is_level(entries_[pin]) && vector_of(entries_[pin]) == vector) {
            entries_[pin] &= ~bit(remote_irr_bit);
            service_level(pin);
        }
    }
}

std::uint32_t IoApic::read_register(std::uint8_t index) const {
    switch (index) {
    case id_index:
    case arbitration_index: return std::uint32_t{id_} << 24;
    case version_index: return version | ((pins - 1) << 16);
    default: break;
    }
    const unsigned pin = (index - first_entry_index) / 2U;
    if (index < first_entry_index || pin >= pins) {
        return 0;
    }
    return static_cast<std::uint32_t>(entries_[pin] >> (index % 2 * 32));
}

void IoApic::write_register(std::uint8_t index, std::uint32_t value) {
    if (index == id_index) {
        id_ = static_cast<std::uint8_t>(bits(value, 27, 24));
        return;
    }
    const unsigned pin = (index - first_entry_index) / 2U;
    if (index < first_entry_index || pin >= pins) {
        return;
    }
    std::uint64_t& entry = entries_[pin];
    const unsigned shift = index % 2 * 32;
    const bool was_level = is_level(entry);
    const std::uint64_t changed = (std::uint64_t{0xFFFF'FFFF} << shift) & writable_bits & ~status_bits;
    entry = (entry & ~changed) | ((std::uint64_t{value} << shift) & changed);
    if (!is_level(entry)) {
        entry &= ~bit(remote_irr_bit);
    }
    if (was_level || is_level(entry)) {
        bus_.io_apic_changed();
    }
    service_level(pin);
}

std::uint64_t IoApic::read(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/) {
    switch (offset) {
    case select_offset: return selected_;
    case window_offset: return read_register(selected_);
    default: return 0;
    }
}

void IoApic::write(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/, std::uint64_t value) {
    switch (offset) {
    case select_offset: selected_ = static_cast<std::uint8_t>(value); break;
    case window_offset: write_register(selected_, static_cast<std::uint32_t>(value)); break;
    case eoi_offset: end_of_interrupt(static_cast<std::uint8_t>(value)); break;
    default: break;
    }
}

void IoApic::reset() {
    id_ = reset_id_;
    selected_ = 0;
    entries_.fill(masked_entry); // the pins' levels are the devices'
}

void IoApic::visit(StateVisitor& visitor) {
    visitor.field("id", id_);
    visitor.field("selected", selected_);
    visitor.field("entries", entries_);
    visitor.field("levels", levels_);
}

} // namespace strata::devices
