#include "devices/i8254_counter.hpp"

#include <algorithm>

namespace strata::devices {
namespace {

constexpr std::uint32_t from_bcd(std::uint16_t value) {
    return (value >> 12) * 1000U + (value >> 8 & 0xF) * 100U + (value >> 4 & 0xF) * 10U + (value & 0xFU);
}

constexpr std::uint16_t to_bcd(std::uint32_t value) {
    return static_cast<std::uint16_t>(value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 |
                                      value % 10);
}

} // namespace

void I8254Counter::set_control(std::uint8_t control) {
    access_ = static_cast<Access>(control >> 4 & 3);
    mode_ = control >> 1 & 7;
    if (mode_ > 5) {
        mode_ -= 4; // 6 and 7 are 2 and 3
    }
    bcd_ = control & 1;
    // What a binary count left behind may be more than a decimal one can be.
    reload_ = std::min(reload_, modulus());
    initial_ = std::min(initial_, modulus());
    loaded_ = running_ = false;
    waiting_ = true;
    held_ = 0;
    write_high_next_ = read_high_next_ = false;
    count_latched_ = status_latched_ = false;
}

std::uint64_t I8254Counter::elapsed(std::uint64_t now) const {
    if (!running_) {
        return held_;
    }
    return now > start_ ? now - start_ : 0;
}

// A count written while a period runs is taken at its end.
I8254Counter::Phase I8254Counter::phase(std::uint64_t now) const {
    const std::uint64_t ticks = elapsed(now);
    if (ticks < initial_) {
        return {initial_, ticks};
    }
    return {reload_, (ticks - initial_) % reload_};
}

void I8254Counter::start(std::uint64_t now) {
    initial_ = reload_;
    start_ = now + 1; // the next clock loads the count
    held_ = 0;
    loaded_ = true;
    waiting_ = false;
    running_ = gate_ || gate_starts();
}

void I8254Counter::pause(std::uint64_t now) {
    held_ = elapsed(now);
    running_ = false;
}

void I8254Counter::load(std::uint64_t now, std::uint16_t value) {
    if (periodic() && running_) { // keep the present period
        const Phase present = phase(now);
        initial_ = present.period;
        start_ = now - present.position + (now < start_ ? start_ - now : 0);
    }
    const std::uint32_t given = bcd_ ? from_bcd(value) % modulus() : value;
    reload_ = given == 0 ? modulus() : given;
    if (gate_starts()) {
        waiting_ = true;
    } else if (!periodic() || !running_) {
        start(now);
    }
}

void I8254Counter::write(std::uint64_t now, std::uint8_t value) {
    switch (access_) {
    case Access::low: load(now, value); break;
    case Access::high: load(now, static_cast<std::uint16_t>(value << 8)); break;
    default:
        if (!write_high_next_) {
            written_low_ = value;
            if (mode_ == 0) { // the first byte stops the count, and the output is low
                loaded_ = running_ = false;
                held_ = 0;
            }
        } else {
            load(now, static_cast<std::uint16_t>(value << 8 | written_low_));
        }
        write_high_next_ = !write_high_next_;
        break;
    }
}

void I8254Counter::set_gate(std::uint64_t now, bool gate) {
    const bool rises = gate && !gate_, falls = !gate && gate_;
    gate_ = gate;
    if (gate_starts()) {
        if (rises && (loaded_ || waiting_)) {
            start(now);
        }
    } else if (falls && running_) {
        pause(now);
    } else if (rises && loaded_) {
        if (periodic()) {
            start(now);
        } else {
            start_ = now - std::min(now, held_);
            running_ = true;
        }
    }
}

// After its end a count of modes 0, 1, 4 and 5 runs on from the highest value.
std::uint32_t I8254Counter::count(std::uint64_t now) const {
    if (!periodic()) {
        const std::uint64_t ticks = elapsed(now) % modulus();
        return static_cast<std::uint32_t>((initial_ + modulus() - ticks) % modulus());
    }
    const auto [period, position] = phase(now);
    const auto ticks = static_cast<std::uint32_t>(position);
    if (mode_ == 2) {
        return period - ticks;
    }
    // Mode 3 counts by two; an odd count by one (high half) or three (low half) at first.
    const std::uint32_t high = (period + 1) / 2;
    const std::uint32_t in_half = ticks < high ? ticks : ticks - high;
    const std::uint32_t odd = period % 2;
    const std::uint32_t correction = in_half == 0 || odd == 0 ? 0 : ticks < high ? 1 : ~0U;
    return period - 2 * in_half + correction;
}

std::uint16_t I8254Counter::encoded_count(std::uint64_t now) const {
    const std::uint32_t value = count(now) % modulus();
    return bcd_ ? to_bcd(value) : static_cast<std::uint16_t>(value);
}

bool I8254Counter::null_count(std::uint64_t now) const {
    const bool not_yet = running_ && now < start_;
    const bool next_period = periodic() && initial_ != reload_ && elapsed(now) < initial_;
    return waiting_ || !loaded_ || not_yet || next_period;
}

bool I8254Counter::output(std::uint64_t now) const {
    if (!loaded_) {
        return mode_ != 0;
    }
    switch (mode_) {
    case 0:
    case 1: return elapsed(now) >= initial_;
    case 2: {
        const auto [period, position] = phase(now);
        return !running_ || position != period - 1;
    }
    case 3: {
        const auto [period, position] = phase(now);
        return !running_ || position < (period + 1) / 2;
    }
    default: return elapsed(now) != initial_; // a strobe of one tick
    }
}

std::optional<std::uint64_t> I8254Counter::next_change(std::uint64_t now) const {
    if (!running_) {
        return std::nullopt;
    }
    if (!periodic()) {
        const std::uint64_t end = start_ + initial_;
        if (now < end) {
            return end;
        }
        const bool strobe = (mode_ == 4 || mode_ == 5) && now == end;
        return strobe ? std::optional(now + 1) : std::nullopt;
    }
    const auto [period, position] = phase(now);
    if (period == 1) {
        return std::nullopt;
    }
    const std::uint64_t begin = std::max(now, start_) - position;
    const std::uint64_t middle = begin + (mode_ == 2 ? period - 1 : (period + 1) / 2);
    return std::max(now, start_) < middle ? middle : begin + period;
}

void I8254Counter::latch_count(std::uint64_t now) {
    if (!count_latched_) {
        latched_count_ = encoded_count(now);
        count_latched_ = true;
    }
}

void I8254Counter::latch_status(std::uint64_t now) {
    if (!status_latched_) {
        latched_status_ =
            static_cast<std::uint8_t>((output(now) ? 0x80U : 0U) | (null_count(now) ? 0x40U : 0U) |
                                      static_cast<unsigned>(access_) << 4 | mode_ << 1U | (bcd_ ? 1U : 0U));
        status_latched_ = true;
    }
}

std::uint8_t I8254Counter::read(std::uint64_t now) {
    if (status_latched_) {
        status_latched_ = false;
        return latched_status_;
    }
    const std::uint16_t value = count_latched_ ? latched_count_ : encoded_count(now);
    const bool high = access_ == Access::high || (access_ != Access::low && read_high_next_);
    if (access_ == Access::word) {
        read_high_next_ = !read_high_next_;
    }
    if (high || access_ == Access::low) {
        count_latched_ = false; // all of it was read
    }
    return static_cast<std::uint8_t>(high ? value >> 8 : value);
}

void I8254Counter::reset(bool gate) {
    *this = I8254Counter{};
    gate_ = gate;
}

void I8254Counter::visit(StateVisitor& visitor) {
    visitor.field_up_to("mode", mode_, 5);
    visitor.field("bcd", bcd_);
    visitor.field_up_to("access", access_, Access::word);
    visitor.field("gate", gate_);
    visitor.field_up_to("reload", reload_, modulus());
    visitor.field_up_to("initial", initial_, modulus());
    if (reload_ == 0 || initial_ == 0) {
        reload_ = initial_ = 1;
        visitor.refuse("reload");
    }
    visitor.field("start", start_);
    visitor.field("held", held_);
    visitor.field("loaded", loaded_);
    visitor.field("running", running_);
    visitor.field("waiting", waiting_);
    visitor.field("write_high_next", write_high_next_);
    visitor.field("read_high_next", read_high_next_);
    visitor.field("written_low", written_low_);
    visitor.field("count_latched", count_latched_);
    visitor.field("status_latched", status_latched_);
    visitor.field("latched_count", latched_count_);
    visitor.field("latched_status", latched_status_);
}

} // namespace strata::devices
