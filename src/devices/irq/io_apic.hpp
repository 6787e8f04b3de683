// The I/O APIC: turns 24 interrupt lines into messages to local APICs. Intel 82093AA datasheet (290566-001),
// and the EOI register of version 0x20 (Intel ICH9 datasheet, section 13.5).
#pragma once

#include "devices/device.hpp"
#include "devices/info.hpp"
#include "devices/irq/apic_bus.hpp"

#include <array>
#include <cstdint>

namespace strata::devices {

class IoApic final : public Device {
public:
    static constexpr DeviceInfo info{"ioapic", "I/O APIC with 24 interrupt lines"};
    static constexpr std::uint64_t default_base = 0xFEC0'0000;
    static constexpr unsigned pins = 24;

    IoApic(ApicBus& bus, std::uint8_t id, std::uint64_t base = default_base);

    // The level of a pin; asserted is active, whatever polarity the entry says.
    void set_pin(unsigned pin, bool asserted);
    // A local APIC (or the EOI register) has ended this vector.
    void end_of_interrupt(std::uint8_t vector);
    // Appends what level-triggered pins send.
    void add_level_messages(std::vector<InterruptMessage>& to) const;

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;
    void reset() override;
    void visit(StateVisitor& visitor) override;

private:
    [[nodiscard]] std::uint32_t read_register(std::uint8_t index) const;
    void write_register(std::uint8_t index, std::uint32_t value);
    // Sends a level-triggered pin's message if its state asks for one.
    void service_level(unsigned pin);
    bool send(std::uint64_t entry);

    ApicBus& bus_;
    std::uint64_t base_;
    std::uint8_t reset_id_;
    std::uint8_t id_;
    std::uint8_t selected_ = 0;
    std::array<std::uint64_t, pins> entries_{};
    std::uint32_t levels_ = 0; // of the pins
};

} // namespace strata::devices
