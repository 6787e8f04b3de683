// The PC's pair of 8259A interrupt controllers, with the edge/level control registers. Intel 8259A datasheet
// (231468-003); ELCR: Intel ICH9 datasheet, section 13.4.12.
#pragma once

#include "devices/device.hpp"
#include "devices/info.hpp"
#include "devices/irq/external_source.hpp"

#include <array>
#include <cstdint>

namespace strata::devices {

// One 8259A.
class I8259 {
public:
    // Which inputs ELCR can make level-triggered; which one a slave is cascaded to (its bit; 0: none).
    I8259(std::uint8_t elcr_mask, std::uint8_t cascade) : elcr_mask_(elcr_mask), cascade_(cascade) {}

    void set_input(unsigned pin, bool asserted);

    // The INT output.
    [[nodiscard]] bool output() const { return pending_pin() >= 0; }

    // INTA: the pin that is taken into service (7 when the request has gone: spurious).
    [[nodiscard]] unsigned take();

    [[nodiscard]] std::uint8_t vector_of(unsigned pin) const {
        return static_cast<std::uint8_t>(base_ + pin);
    }

    [[nodiscard]] std::uint8_t read(unsigned port);
    void write(unsigned port, std::uint8_t value);

    [[nodiscard]] std::uint8_t elcr() const { return elcr_; }

    void set_elcr(std::uint8_t value);

    void reset();
    void visit(StateVisitor& visitor);

private:
    enum class Expecting : std::uint8_t { operation, icw2, icw3, icw4 };

    [[nodiscard]] int pending_pin() const; // -1: none
    [[nodiscard]] std::uint8_t level_pins() const;
    void follow_levels();
    [[nodiscard]] unsigned priority_of(std::uint8_t pins) const;
    void begin_initialization(std::uint8_t icw1);
    void write_icw(std::uint8_t value);
    void write_ocw2(std::uint8_t value);
    void write_ocw3(std::uint8_t value);

    std::uint8_t elcr_mask_;
    std::uint8_t cascade_;
    std::uint8_t lines_ = 0;      // input levels
    std::uint8_t requests_ = 0;   // IRR
    std::uint8_t in_service_ = 0; // ISR
    std::uint8_t mask_ = 0xFF;    // IMR
    std::uint8_t base_ = 0;       // ICW2
    std::uint8_t elcr_ = 0;       // 1: level-triggered
    std::uint8_t lowest_ = 7;     // the pin of lowest priority
    bool level_mode_ = false;     // ICW1.LTIM: all inputs are level-triggered
    bool needs_icw3_ = false, needs_icw4_ = false;
    bool auto_eoi_ = false, rotate_on_auto_eoi_ = false;
    bool special_fully_nested_ = false;
    bool special_mask_ = false;
    bool read_isr_ = false, poll_ = false;
    Expecting expecting_ = Expecting::operation;
};

// Both, cascaded through the master's pin 2, at ports 0x20, 0xA0 and 0x4D0.
class I8259Pair final : public Device, public ExternalInterruptSource {
public:
    static constexpr DeviceInfo info{"pic", "Intel 8259A interrupt controllers, master and slave"};

    // `output` is the master's INT: to the boot processor's LINT0.
    explicit I8259Pair(InterruptLine output) : output_(std::move(output)) {}

    // IRQ 0 to 15; 2 is the cascade and ignored.
    void set_irq(unsigned irq, bool asserted);

    std::uint8_t acknowledge() override;

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;
    void reset() override;
    void visit(StateVisitor& visitor) override;

private:
    void update();

    static constexpr unsigned cascade_pin = 2;

    I8259 master_{0xF8, 1 << cascade_pin}, slave_{0xDE, 0};
    InterruptLine output_;
    bool asserted_ = false;
};

} // namespace strata::devices
