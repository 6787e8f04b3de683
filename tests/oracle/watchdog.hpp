// Calls back, from a thread of its own, when what it guards takes too long.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace strata::oracle {

class Watchdog {
public:
    // After between one and two periods `on_timeout` is called, and again each period until disarm().
    static constexpr auto period = std::chrono::milliseconds(500);

    explicit Watchdog(std::function<void()> on_timeout)
        : on_timeout_(std::move(on_timeout)), thread_([this](const std::stop_token& stop) { watch(stop); }) {}

    void arm() {
        const std::scoped_lock lock(mutex_);
        armed_ = true;
        periods_ = 0;
    }

    // When it returns, on_timeout is not called any more.
    void disarm() {
        const std::scoped_lock lock(mutex_);
        armed_ = false;
    }

private:
    void watch(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        while (!stop.stop_requested()) {
            wake_.wait_for(lock, stop, period, [] { return false; });
            if (armed_ && ++periods_ > 1) {
                on_timeout_();
            }
        }
    }

    std::function<void()> on_timeout_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    bool armed_ = false;
    unsigned periods_ = 0;
    std::jthread thread_;
};

} // namespace strata::oracle
