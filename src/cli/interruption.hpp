// SIGINT, SIGTERM and SIGHUP while a machine runs: the first presses its power button, the second stops it.
// After SIGTERM and SIGHUP, which nobody may be there to repeat, it is stopped if it has not ended in ten
// seconds.
#pragma once

#include "strata/machine.hpp"

#include <csignal>
#include <thread>

namespace strata::cli {

class Interruption {
public:
    // Blocks the signals for this thread and those it starts.
    Interruption();
    ~Interruption();
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;

    void watch(Machine& machine);
    // Watches no longer; the signals stay blocked.
    void end();

private:
    void wait(Machine& machine) const;

    sigset_t signals_{};
    std::thread thread_;
};

} // namespace strata::cli
