// The other end of a machine's control socket. A guest may have taken over the machine's monitor: what it
// answers is checked.
#pragma once

#include "base/error.hpp"
#include "vm/exit_history.hpp"

#include <string>
#include <vector>

namespace strata::vm::control {

// Of the machine of this name: each waits for its answer.
[[nodiscard]] Result<void> switch_engine(const std::string& machine, const std::string& engine);
[[nodiscard]] Result<void> set_paused(const std::string& machine, bool paused);
[[nodiscard]] Result<std::vector<ExitsByEngine>> exits(const std::string& machine); // by vCPU

// Whether there is a machine of this name.
[[nodiscard]] bool is_running(const std::string& machine);

} // namespace strata::vm::control
