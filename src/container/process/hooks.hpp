// Hooks: programs of the host's that get the container's state on their standard input.
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"

namespace strata::container {

// Runs them in order; the first that fails, or exceeds its timeout, is the error. `kind` names them in
// messages.
[[nodiscard]] Result<void> run_hooks(const std::vector<Hook>& hooks, const std::string& kind,
                                     const std::string& state);

// After the fact a hook cannot fail an operation: the specification wants a warning, and the next one run.
void run_late_hooks(const std::vector<Hook>& hooks, const std::string& kind, const std::string& state);

} // namespace strata::container
