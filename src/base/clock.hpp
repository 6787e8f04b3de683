// A monotonic clock that can be paused: what a machine calls time.
#pragma once

#include <atomic>
#include <cstdint>

namespace strata {

using Nanoseconds = std::int64_t;

// Thread-safe for readers; pause() and resume() are called by one thread at a time.
class Clock {
public:
    Clock();

    // Nanoseconds of running time since construction.
    [[nodiscard]] Nanoseconds now() const;

    void pause();
    void resume();

    [[nodiscard]] bool paused() const { return paused_.load(std::memory_order_acquire); }

    // The host's CLOCK_MONOTONIC time at which now() will reach `time`, if the clock is not paused.
    [[nodiscard]] Nanoseconds host_time_of(Nanoseconds time) const;

private:
    std::atomic<Nanoseconds> offset_{0}; // now() = host monotonic time + offset while running
    std::atomic<Nanoseconds> frozen_{0}; // now() while paused
    std::atomic<bool> paused_{false};
};

} // namespace strata
