// The local APIC's timer: one-shot, periodic, or at a value of the time-stamp counter. SDM volume 3
// section 10.5.4.
#pragma once

#include "base/clock.hpp"
#include "base/event_loop.hpp"
#include "devices/device.hpp"

#include <cstdint>
#include <functional>

namespace strata::devices {

class ApicTimer {
public:
    enum class Mode : std::uint8_t { one_shot = 0, periodic = 1, tsc_deadline = 2, reserved = 3 };

    struct Config {
        std::uint64_t hz = 1'000'000'000;     // the timer's clock before division
        std::uint64_t tsc_hz = 1'000'000'000; // in which deadlines count the machine's clock
    };

    ApicTimer(const Environment& environment, Config config, std::function<void()> expired);

    void set_mode(Mode mode);

    [[nodiscard]] Mode mode() const { return mode_; }

    // The initial count; 0 stops the timer. Ignored in TSC-deadline mode.
    void set_initial_count(std::uint32_t count);

    [[nodiscard]] std::uint32_t initial_count() const { return initial_; }

    [[nodiscard]] std::uint32_t current_count() const;

    // The divide configuration register.
    void set_divide(std::uint32_t value);

    [[nodiscard]] std::uint32_t divide() const { return divide_; }

    // IA32_TSC_DEADLINE in ticks of the machine's clock; reads 0 when no deadline is pending, and in other
    // modes.
    void set_deadline(std::uint64_t tsc);

    [[nodiscard]] std::uint64_t deadline() const { return deadline_; }

    // Goes on from where another timer was, of the mode that is set: either what is left of the initial
    // count, or a deadline; 0: none.
    void go_on(std::uint32_t initial_count, std::uint32_t current_count, std::uint64_t deadline);

    void reset();
    void visit(StateVisitor& visitor);

private:
    [[nodiscard]] unsigned divide_shift() const; // log2 of the divisor
    [[nodiscard]] Nanoseconds length_of(std::uint32_t count) const;
    [[nodiscard]] Nanoseconds time_of_tsc(std::uint64_t tsc) const;
    void start_count(std::uint32_t count);
    void stop();
    void on_timer();

    const Clock& clock_;
    Config config_;
    std::function<void()> expired_;
    EventLoop::Timer timer_;
    Mode mode_ = Mode::one_shot;
    std::uint32_t initial_ = 0;
    std::uint32_t divide_ = 0;
    std::uint64_t deadline_ = 0;
    bool counting_ = false;
    Nanoseconds end_ = 0; // when the running count is over
};

} // namespace strata::devices
