#include "devices/acpi_pm.hpp"

#include "base/bits.hpp"
#include "base/scale.hpp"

namespace strata::devices {
namespace {

enum RegionIndex : unsigned { event_block, control_block, timer_block, gpe_block };

// PM1 status and enable.
constexpr std::uint16_t timer_bit = 1 << 0, power_button_bit = 1 << 8;
constexpr std::uint16_t status_bits = timer_bit | (1 << 4) | (1 << 5) | power_button_bit | (1 << 9) |
                                      (1 << 10) | (1 << 14) |
                                      (1 << 15); // those that the specification defines
constexpr std::uint16_t enable_bits =
    timer_bit | (1 << 5) | power_button_bit | (1 << 9) | (1 << 10) | (1 << 14);

// PM1 control.
constexpr std::uint16_t sci_enable = 1 << 0, sleep_enable = 1 << 13;
constexpr std::uint16_t control_writable = (1 << 1) | (7 << 10); // BM_RLD, SLP_TYPx

constexpr std::uint64_t second = 1'000'000'000;
// The timer's carry: its top bit changes. (32 bits: TMR_VAL_EXT.)
constexpr unsigned half_turn_bits = 31;

} // namespace

AcpiPm::AcpiPm(const Environment& environment, InterruptLine sci, std::uint16_t base)
    : env_(environment), sci_(std::move(sci)), base_(base),
      carry_timer_(environment.loop, [this] { update(); }) {}

std::vector<Region> AcpiPm::regions() const {
    const auto at = [this](std::uint16_t offset) { return std::uint64_t{base_} + offset; };
    return {{"pm1-event", Space::port, at(event_offset), event_length, 1, 2},
            {"pm1-control", Space::port, at(control_offset), control_length, 2, 2},
            {"pm-timer", Space::port, at(timer_offset), timer_length, 4, 4},
            {"gpe0", Space::port, at(gpe_offset), gpe_length, 1, 2}};
}

std::uint64_t AcpiPm::ticks() const {
    return mul_div(static_cast<std::uint64_t>(env_.clock.now()), timer_hz, second);
}

void AcpiPm::catch_up() {
    if (const std::uint64_t half = ticks() >> half_turn_bits; half != last_half_) {
        last_half_ = half;
        status_ |= timer_bit;
    }
}

void AcpiPm::update() {
    catch_up();
    const bool asserted = (status_ & enable_) != 0 || (gpe_status_ & gpe_enable_) != 0;
    if (asserted != asserted_) {
        asserted_ = asserted;
        sci_(asserted);
    }
    if ((enable_ & timer_bit) != 0 && (status_ & timer_bit) == 0) {
        const std::uint64_t carry = (last_half_ + 1) << half_turn_bits;
        carry_timer_.arm(static_cast<Nanoseconds>(mul_div_up(carry, second, timer_hz)));
    } else {
        carry_timer_.cancel();
    }
}

void AcpiPm::press_power_button() {
    status_ |= power_button_bit;
    update();
}

void AcpiPm::raise_event(unsigned number) {
    gpe_status_ |= bit<std::uint16_t>(number & 15);
    update();
}

std::uint64_t AcpiPm::read(unsigned region, std::uint64_t offset, unsigned /*size*/) {
    catch_up();
    // Two registers of 16 bits, byte by byte or whole.
    const auto pair = [offset](std::uint16_t low, std::uint16_t high) {
        return ((std::uint32_t{high} << 16) | low) >> (offset * 8);
    };
    switch (region) {
    case event_block: return pair(status_, enable_);
    case control_block: return control_ | sci_enable;
    case timer_block: return ticks() & 0xFFFF'FFFF;
    default: return pair(gpe_status_, gpe_enable_);
    }
}

void AcpiPm::write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) {
    catch_up();
    const unsigned shift = static_cast<unsigned>(offset) % 2 * 8;
    const auto written = static_cast<std::uint16_t>(value << shift);
    const auto lanes = static_cast<std::uint16_t>((size == 2 ? 0xFFFFU : 0xFFU) << shift);
    const bool enables = offset >= 2; // of a pair: status first, then enable
    switch (region) {
    case event_block:
        if (enables) {
            enable_ = static_cast<std::uint16_t>((enable_ & ~lanes) | (written & lanes & enable_bits));
        } else {
            status_ = static_cast<std::uint16_t>(status_ & ~(written & status_bits));
        }
        break;
    case control_block: write_control(written); break;
    case gpe_block:
        if (enables) {
            gpe_enable_ = static_cast<std::uint16_t>((gpe_enable_ & ~lanes) | (written & lanes));
        } else {
            gpe_status_ = static_cast<std::uint16_t>(gpe_status_ & ~written);
        }
        break;
    default: break; // the timer is read-only
    }
    update();
}

void AcpiPm::write_control(std::uint16_t value) {
    control_ = value & control_writable;
    if ((value & sleep_enable) != 0 && bits(value, 12, 10) == sleep_type_s5) {
        env_.power.power_off();
    }
}

void AcpiPm::reset() {
    status_ = enable_ = control_ = gpe_status_ = gpe_enable_ = 0;
    last_half_ = ticks() >> half_turn_bits;
    update();
}

void AcpiPm::visit(StateVisitor& visitor) {
    if (!visitor.loading()) {
        update();
    }
    visitor.field("status", status_);
    visitor.field("enable", enable_);
    visitor.field("control", control_);
    visitor.field("gpe_status", gpe_status_);
    visitor.field("gpe_enable", gpe_enable_);
    visitor.field("last_half", last_half_);
    if (visitor.loading()) {
        update();
    }
}

} // namespace strata::devices
