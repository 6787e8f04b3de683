#include "devices/irq/apic_timer.hpp"

#include "base/scale.hpp"

#include <algorithm>
#include <limits>

namespace strata::devices {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr Nanoseconds never = std::numeric_limits<Nanoseconds>::max() / 2;
// A guest that asks for a shorter period gets this one, so that it can't keep the event loop busy for others.
constexpr Nanoseconds shortest_period = 50'000;

Nanoseconds saturate(std::uint64_t time) {
    return static_cast<Nanoseconds>(std::min(time, static_cast<std::uint64_t>(never)));
}

} // namespace

ApicTimer::ApicTimer(const Environment& environment, Config config, std::function<void()> expired)
    : clock_(environment.clock), config_(std::move(config)), expired_(std::move(expired)),
      timer_(environment.loop, [this] { on_timer(); }) {}

// Bits 3, 1 and 0 of the register: 2, 4, ... 128, 1.
unsigned ApicTimer::divide_shift() const { return (((divide_ & 8) >> 1 | (divide_ & 3)) + 1) & 7; }

Nanoseconds ApicTimer::length_of(std::uint32_t count) const {
    return saturate(mul_div_up(std::uint64_t{count} << divide_shift(), second, config_.hz));
}

Nanoseconds ApicTimer::time_of_tsc(std::uint64_t tsc) const {
    return saturate(mul_div_up(tsc, second, config_.tsc_hz));
}

void ApicTimer::start_count(std::uint32_t count) {
    end_ = clock_.now() + length_of(count);
    counting_ = true;
    timer_.arm(end_);
}

void ApicTimer::stop() {
    counting_ = false;
    deadline_ = 0;
    timer_.cancel();
}

void ApicTimer::set_mode(Mode mode) {
    if ((mode == Mode::tsc_deadline) != (mode_ == Mode::tsc_deadline)) {
        stop();
    }
    mode_ = mode;
}

void ApicTimer::set_initial_count(std::uint32_t count) {
    if (mode_ == Mode::tsc_deadline) {
        return;
    }
    initial_ = count;
    if (count == 0) {
        stop();
    } else {
        start_count(count);
    }
}

std::uint32_t ApicTimer::current_count() const {
    if (!counting_) {
        return 0;
    }
    const Nanoseconds now = clock_.now();
    Nanoseconds remaining = end_ - now;
    if (remaining <= 0) { // on_timer() is about to run
        if (mode_ != Mode::periodic) {
            return 0;
        }
        const Nanoseconds period = std::max<Nanoseconds>(length_of(initial_), 1);
        remaining = period - (-remaining % period);
    }
    const std::uint64_t count =
        mul_div(static_cast<std::uint64_t>(remaining), config_.hz, second) >> divide_shift();
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(count, initial_));
}

void ApicTimer::set_divide(std::uint32_t value) {
    const std::uint32_t left = current_count();
    divide_ = value & 0xB;
    if (counting_) {
        start_count(left);
    }
}

void ApicTimer::set_deadline(std::uint64_t tsc) {
    if (mode_ != Mode::tsc_deadline) {
        return;
    }
    deadline_ = tsc;
    if (tsc == 0) {
        timer_.cancel();
        return;
    }
    const Nanoseconds due = time_of_tsc(tsc);
    if (due <= clock_.now()) {
        stop();
        expired_();
    } else {
        timer_.arm(due);
    }
}

void ApicTimer::on_timer() {
    if (mode_ == Mode::periodic && counting_) {
        // Ticks that were missed are not made up for, but the phase is kept.
        const Nanoseconds period = std::max(length_of(initial_), shortest_period);
        const Nanoseconds late = std::max<Nanoseconds>(clock_.now() - end_, 0);
        end_ += (late / period + 1) * period;
        timer_.arm(end_);
    } else {
        counting_ = false;
        deadline_ = 0;
    }
    expired_();
}

void ApicTimer::go_on(std::uint32_t initial_count, std::uint32_t current_count, std::uint64_t deadline) {
    if (mode_ == Mode::tsc_deadline) {
        set_deadline(deadline);
        return;
    }
    initial_ = initial_count;
    if (current_count != 0 || (mode_ == Mode::periodic && initial_count != 0)) {
        start_count(current_count != 0 ? std::min(current_count, initial_count) : initial_count);
    }
}

void ApicTimer::reset() {
    stop();
    mode_ = Mode::one_shot;
    initial_ = 0;
    divide_ = 0;
}

void ApicTimer::visit(StateVisitor& visitor) {
    visitor.field_up_to("timer.mode", mode_, Mode::reserved);
    visitor.field("timer.initial", initial_);
    visitor.field_up_to("timer.divide", divide_, 0xB);
    visitor.field("timer.deadline", deadline_);
    visitor.field("timer.counting", counting_);
    visitor.field_up_to("timer.end", end_, never);
    if (visitor.loading()) {
        if (end_ < 0) {
            end_ = 0;
            visitor.refuse("timer.end");
        }
        timer_.cancel();
        if (counting_) {
            timer_.arm(end_);
        } else if (deadline_ != 0) {
            timer_.arm(time_of_tsc(deadline_));
        }
    }
}

} // namespace strata::devices
