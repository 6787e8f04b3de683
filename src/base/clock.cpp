#include "base/clock.hpp"

#include <ctime>

namespace strata {
namespace {

Nanoseconds host_monotonic() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return Nanoseconds{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

} // namespace

Clock::Clock() { offset_ = -host_monotonic(); }

Clock::Clock(Nanoseconds start) : frozen_(start), mode_(Mode::by_hand), by_hand_(true) {}

Nanoseconds Clock::now() const {
    if (mode_.load(std::memory_order_acquire) != Mode::running) {
        return frozen_.load(std::memory_order_relaxed);
    }
    return host_monotonic() + offset_.load(std::memory_order_relaxed);
}

void Clock::pause() {
    if (!paused()) {
        frozen_ = now();
        mode_.store(Mode::paused, std::memory_order_release);
    }
}

void Clock::resume() {
    if (paused()) {
        offset_ = frozen_ - host_monotonic();
        mode_.store(by_hand_ ? Mode::by_hand : Mode::running, std::memory_order_release);
    }
}

Nanoseconds Clock::host_time_of(Nanoseconds time) const {
    return time - offset_.load(std::memory_order_relaxed);
}

} // namespace strata
