// A further program in a running container.
#pragma once

#include "instance/bundle.hpp"

#include <string>

namespace strata::instance {

struct ExecOptions {
    Execution execution{};
    std::string user{}; // empty: the container's
    bool interactive = false, detached = false;
};

// Runs it on this process's standard streams, and returns its exit code; at once, and 0, when it is detached.
[[nodiscard]] Result<int> exec(const Instances& instances, const Instance& instance,
                               const ExecOptions& options);

} // namespace strata::instance
