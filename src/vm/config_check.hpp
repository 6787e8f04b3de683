// Refuses machines that can't be, before anything is made of them.
#pragma once

#include "base/error.hpp"
#include "strata/machine.hpp"

#include <string_view>

namespace strata::vm {

[[nodiscard]] Result<void> check_config(const MachineConfig& config);

// Whether there is an engine of this name; `automatic`: "auto" is one too.
[[nodiscard]] Result<void> check_engine(std::string_view name, bool automatic);

} // namespace strata::vm
