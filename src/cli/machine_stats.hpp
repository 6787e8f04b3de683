// strata stats of a virtual machine.
#pragma once

#include "vm/exit_history.hpp"

#include <vector>

namespace strata::cli {

// How often each virtual processor came out of the guest, and why.
void show_machine_stats(const std::vector<vm::ExitsByEngine>& exits);

} // namespace strata::cli
