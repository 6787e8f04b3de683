// Keeps a machine's output away from its input.
#pragma once

#include "strata/machine.hpp"

namespace strata::vm {

// Fails if the trace or a console would overwrite a file that the machine needs or another of its outputs, or
// if two disks are the same file and may be written.
[[nodiscard]] Result<void> check_file_conflicts(const MachineConfig& config);

} // namespace strata::vm
