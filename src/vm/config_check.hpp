// Refuses machines that can't be, before anything is made of them.
#pragma once

#include "strata/machine.hpp"

namespace strata::vm {

[[nodiscard]] Result<void> check_config(const MachineConfig& config);

} // namespace strata::vm
