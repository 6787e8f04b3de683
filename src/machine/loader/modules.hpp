// Files that are handed to a kernel beside itself.
#pragma once

#include "machine/loader/boot_memory.hpp"
#include "machine/loader/loader.hpp"

#include <vector>

namespace strata::machine::loader {

// Puts each module on pages of its own above 1 MiB; their addresses in order.
[[nodiscard]] Result<std::vector<GuestPhysical>> place_modules(const BootRequest& request,
                                                               BootMemory& memory);

} // namespace strata::machine::loader
