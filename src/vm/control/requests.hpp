// What can be asked of a running machine by its control socket, and how it answers: docs/control.md.
#pragma once

#include "base/error.hpp"
#include "vm/exit_history.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strata::vm::control {

struct Status {
    std::string engine, cpu;
    unsigned cpus;
    std::uint64_t memory; // bytes
    bool paused;
};

// The machine, as requests reach it. On the control loop's thread.
class Machine {
public:
    virtual ~Machine() = default;
    [[nodiscard]] virtual Status status() const = 0;
    // Of each vCPU, since the machine was started.
    [[nodiscard]] virtual std::vector<ExitsByEngine> exits() const = 0;
    // The machine stands still for the time that it takes, and goes on on the other engine.
    [[nodiscard]] virtual Result<void> switch_engine(const std::string& name) = 0;
    // Holds the machine and its clock, or lets them go on.
    [[nodiscard]] virtual Result<void> set_paused(bool paused) = 0;
};

// Carries out a request and returns the answer, both a JSON object in one line.
[[nodiscard]] std::string answer(Machine& machine, std::string_view request);

} // namespace strata::vm::control
