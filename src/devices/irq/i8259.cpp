#include "devices/irq/i8259.hpp"

#include "base/bits.hpp"

namespace strata::devices {
namespace {

// ICW1, and what tells the command words at the even port apart.
constexpr std::uint8_t icw1_mark = 0x10, icw1_needs_icw4 = 0x01, icw1_single = 0x02, icw1_level = 0x08;
constexpr std::uint8_t ocw3_mark = 0x08;

constexpr std::uint8_t icw4_auto_eoi = 0x02, icw4_special_fully_nested = 0x10;

// OCW2, bits 7:5.
constexpr std::uint8_t ocw2_rotate = 0x80, ocw2_specific = 0x40, ocw2_eoi = 0x20;

// OCW3.
constexpr std::uint8_t ocw3_set_special_mask = 0x40, ocw3_special_mask = 0x20, ocw3_poll = 0x04,
                       ocw3_set_read = 0x02, ocw3_read_isr = 0x01;

constexpr unsigned no_priority = 8;
constexpr unsigned spurious_pin = 7;

std::uint8_t pin_bit(unsigned pin) { return bit<std::uint8_t>(pin & 7); }

} // namespace

// The cascade follows the slave's output, which may stay high from one request to the next.
std::uint8_t I8259::level_pins() const {
    return static_cast<std::uint8_t>(elcr_ | cascade_ | (level_mode_ ? 0xFF : 0));
}

void I8259::follow_levels() {
    const std::uint8_t level = level_pins();
    requests_ = static_cast<std::uint8_t>((requests_ & ~level) | (lines_ & level));
}

void I8259::set_input(unsigned pin, bool asserted) {
    const std::uint8_t mask = pin_bit(pin);
    if (asserted && (lines_ & mask) == 0) {
        requests_ |= mask;
    }
    lines_ = static_cast<std::uint8_t>(asserted ? lines_ | mask : lines_ & ~mask);
    follow_levels();
}

void I8259::set_elcr(std::uint8_t value) {
    elcr_ = value & elcr_mask_;
    follow_levels();
}

// 0 is the highest; no_priority if `pins` is empty.
unsigned I8259::priority_of(std::uint8_t pins) const {
    unsigned priority = 0;
    while (priority < no_priority && (pins & pin_bit(lowest_ + 1U + priority)) == 0) {
        ++priority;
    }
    return priority;
}

int I8259::pending_pin() const {
    const auto wanted = static_cast<std::uint8_t>(requests_ & ~mask_);
    std::uint8_t blocking = in_service_;
    if (special_mask_) {
        blocking = static_cast<std::uint8_t>(blocking & ~mask_);
    }
    if (special_fully_nested_) {
        blocking = static_cast<std::uint8_t>(blocking & ~cascade_);
    }
    const unsigned priority = priority_of(wanted);
    if (priority >= priority_of(blocking)) {
        return -1;
    }
    return static_cast<int>((lowest_ + 1U + priority) & 7);
}

unsigned I8259::take() {
    const int pending = pending_pin();
    if (pending < 0) {
        return spurious_pin;
    }
    const auto pin = static_cast<unsigned>(pending);
    if (!auto_eoi_) {
        in_service_ |= pin_bit(pin);
    } else if (rotate_on_auto_eoi_) {
        lowest_ = static_cast<std::uint8_t>(pin);
    }
    requests_ = static_cast<std::uint8_t>(requests_ & ~(pin_bit(pin) & ~level_pins()));
    return pin;
}

std::uint8_t I8259::read(unsigned port) {
    if (poll_) {
        poll_ = false;
        return output() ? static_cast<std::uint8_t>(0x80 | take()) : 0;
    }
    if (port == 1) {
        return mask_;
    }
    return read_isr_ ? in_service_ : requests_;
}

void I8259::write(unsigned port, std::uint8_t value) {
    if (port == 1) {
        if (expecting_ == Expecting::operation) {
            mask_ = value; // OCW1
        } else {
            write_icw(value);
        }
    } else if (value & icw1_mark) {
        begin_initialization(value);
    } else if (value & ocw3_mark) {
        write_ocw3(value);
    } else {
        write_ocw2(value);
    }
}

void I8259::begin_initialization(std::uint8_t icw1) {
    level_mode_ = icw1 & icw1_level;
    needs_icw3_ = (icw1 & icw1_single) == 0;
    needs_icw4_ = icw1 & icw1_needs_icw4;
    requests_ = 0;
    in_service_ = 0;
    mask_ = 0;
    lowest_ = 7;
    auto_eoi_ = rotate_on_auto_eoi_ = false;
    special_fully_nested_ = special_mask_ = false;
    read_isr_ = poll_ = false;
    expecting_ = Expecting::icw2;
    follow_levels();
}

void I8259::write_icw(std::uint8_t value) {
    switch (expecting_) {
    case Expecting::icw2:
        base_ = value & 0xF8;
        expecting_ = needs_icw3_ ? Expecting::icw3 : needs_icw4_ ? Expecting::icw4 : Expecting::operation;
        break;
    case Expecting::icw3: // how the two are cascaded is wired
        expecting_ = needs_icw4_ ? Expecting::icw4 : Expecting::operation;
        break;
    default:
        auto_eoi_ = value & icw4_auto_eoi;
        special_fully_nested_ = value & icw4_special_fully_nested;
        expecting_ = Expecting::operation;
        break;
    }
}

void I8259::write_ocw2(std::uint8_t value) {
    const bool rotate = value & ocw2_rotate, specific = value & ocw2_specific;
    unsigned pin = value & 7;
    if ((value & ocw2_eoi) == 0) {
        if (!specific) {
            rotate_on_auto_eoi_ = rotate;
        } else if (rotate) {
            lowest_ = static_cast<std::uint8_t>(pin); // set priority
        }
        return;
    }
    if (!specific) {
        // In special mask mode, a masked level is not ended by a non-specific EOI.
        const auto candidates = static_cast<std::uint8_t>(special_mask_ ? in_service_ & ~mask_ : in_service_);
        const unsigned priority = priority_of(candidates);
        if (priority == no_priority) {
            return;
        }
        pin = (lowest_ + 1U + priority) & 7;
    }
    in_service_ = static_cast<std::uint8_t>(in_service_ & ~pin_bit(pin));
    if (rotate) {
        lowest_ = static_cast<std::uint8_t>(pin);
    }
}

void I8259::write_ocw3(std::uint8_t value) {
    if (value & ocw3_set_special_mask) {
        special_mask_ = value & ocw3_special_mask;
    }
    if (value & ocw3_set_read) {
        read_isr_ = value & ocw3_read_isr;
    }
    poll_ = value & ocw3_poll;
}

void I8259::reset() {
    const std::uint8_t lines = lines_; // the devices'
    *this = I8259(elcr_mask_, cascade_);
    lines_ = lines;
}

void I8259::visit(StateVisitor& visitor) {
    visitor.field("lines", lines_);
    visitor.field("requests", requests_);
    visitor.field("in_service", in_service_);
    visitor.field("mask", mask_);
    visitor.field("base", base_);
    visitor.field("elcr", elcr_);
    visitor.field_up_to("lowest", lowest_, 7);
    visitor.field("level_mode", level_mode_);
    visitor.field("needs_icw3", needs_icw3_);
    visitor.field("needs_icw4", needs_icw4_);
    visitor.field("auto_eoi", auto_eoi_);
    visitor.field("rotate_on_auto_eoi", rotate_on_auto_eoi_);
    visitor.field("special_fully_nested", special_fully_nested_);
    visitor.field("special_mask", special_mask_);
    visitor.field("read_isr", read_isr_);
    visitor.field("poll", poll_);
    visitor.field_up_to("expecting", expecting_, Expecting::icw4);
}

} // namespace strata::devices
