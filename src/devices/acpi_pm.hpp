// The fixed hardware of ACPI: power management events and control, the PM timer, general-purpose events. ACPI
// Specification 6.5, sections 4.8.3 and 4.8.4. There is no legacy mode: SCI_EN is always set.
#pragma once

#include "devices/device.hpp"
#include "devices/info.hpp"

#include <cstdint>

namespace strata::devices {

class AcpiPm final : public Device {
public:
    static constexpr DeviceInfo info{"acpi-pm",
                                     "ACPI power management: power button, power-off, PM timer, GPEs"};

    // What the board's ACPI tables say (FADT and \_S5).
    static constexpr std::uint16_t default_base = 0x600;
    static constexpr std::uint16_t event_offset = 0x00, event_length = 4;
    static constexpr std::uint16_t control_offset = 0x04, control_length = 2;
    static constexpr std::uint16_t timer_offset = 0x08, timer_length = 4;
    static constexpr std::uint16_t gpe_offset = 0x20, gpe_length = 4; // GPE0_BLK: 16 events
    static constexpr std::uint16_t length = 0x24;
    static constexpr std::uint8_t sleep_type_s5 = 0; // SLP_TYPx for \_S5
    static constexpr unsigned timer_hz = 3'579'545;

    // `sci` is the level-triggered system control interrupt.
    AcpiPm(const Environment& environment, InterruptLine sci, std::uint16_t base = default_base);

    // The user pressed the power button.
    void press_power_button();
    // A device raises general-purpose event 0 to 15.
    void raise_event(unsigned number);

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;
    void reset() override;
    void visit(StateVisitor& visitor) override;

private:
    [[nodiscard]] std::uint64_t ticks() const;
    void write_control(std::uint16_t value);
    void catch_up(); // the timer's carry
    void update();

    Environment env_;
    InterruptLine sci_;
    std::uint16_t base_;
    EventLoop::Timer carry_timer_;
    std::uint16_t status_ = 0, enable_ = 0, control_ = 0;
    std::uint16_t gpe_status_ = 0, gpe_enable_ = 0;
    std::uint64_t last_half_ = 0; // half-turns of the timer for which TMR_STS was set
    bool asserted_ = false;       // SCI
};

} // namespace strata::devices
