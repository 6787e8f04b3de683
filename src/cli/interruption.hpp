// SIGINT, SIGTERM and SIGHUP while a machine runs: the first presses its power button, the second stops it.
// After SIGTERM and SIGHUP, which nobody may be there to repeat, it is stopped if it has not ended in ten
// seconds. Before there is a machine they end the process, as they would anyway.
#pragma once

#include "strata/machine.hpp"

#include <atomic>
#include <csignal>
#include <thread>

namespace strata::cli {

class Interruption {
public:
    // Blocks the signals for this thread and those it starts; a thread waits for them.
    Interruption();
    ~Interruption();
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;

    void watch(Machine& machine);
    // Watches no longer; the signals stay blocked.
    void end();

private:
    void wait() const;

    sigset_t signals_{};
    std::atomic<Machine*> machine_ = nullptr;
    std::thread thread_;
};

} // namespace strata::cli
