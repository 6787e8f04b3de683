// An event loop that a test runs until something has happened.
#pragma once

#include "base/clock.hpp"
#include "base/event_loop.hpp"

#include <memory>

namespace strata::test {

struct LoopRunner {
    // Runs the loop until `done()` says so, for at most some seconds; returns whether it did.
    template <class F>
    bool run_until(F done) {
        const auto end = clock.now() + Nanoseconds{10} * 1'000'000'000;
        bool held = done();
        while (!held && clock.now() < end) {
            EventLoop::Timer tick(*loop, [this] { loop->stop(); });
            tick.arm(clock.now() + nanoseconds_per_millisecond);
            loop->run();
            held = done();
        }
        return held;
    }

    // Runs what is posted already.
    void settle() {
        int ticks = 0;
        run_until([&] { return ++ticks > 5; });
    }

    Clock clock;
    std::unique_ptr<EventLoop> loop = EventLoop::create(clock).value();
};

} // namespace strata::test
