// A monotonic clock that can be paused: what a machine calls time.
#pragma once

#include <atomic>
#include <cstdint>

namespace strata {

using Nanoseconds = std::int64_t;

inline constexpr Nanoseconds nanoseconds_per_millisecond = 1'000'000;

// Thread-safe for readers; pause(), resume() and advance() are called by one thread at a time.
class Clock {
public:
    Clock();

    // A clock driven by hand: it stands at `start` and moves by advance() alone.
    explicit Clock(Nanoseconds start);

    // Nanoseconds of running time since construction.
    [[nodiscard]] Nanoseconds now() const;

    void pause();
    void resume();

    // For a clock driven by hand.
    void advance(Nanoseconds step) { frozen_.fetch_add(step, std::memory_order_relaxed); }

    [[nodiscard]] bool paused() const { return mode_.load(std::memory_order_acquire) == Mode::paused; }

    // The host's CLOCK_MONOTONIC time at which now() will reach `time`, if the clock is not paused.
    [[nodiscard]] Nanoseconds host_time_of(Nanoseconds time) const;

private:
    enum class Mode : std::uint8_t { running, paused, by_hand };

    std::atomic<Nanoseconds> offset_{0}; // now() = host monotonic time + offset while running
    std::atomic<Nanoseconds> frozen_{0}; // now() otherwise
    std::atomic<Mode> mode_{Mode::running};
    bool by_hand_ = false;
};

} // namespace strata
