// Programs that belong to this one lie in its directory, which has to be looked up before
// protect_executable() runs it from a place without a name.
#pragma once

#include <string>

namespace strata::container {

// This program's directory, if it is not where /proc/self/exe leads.
void set_companion_directory(std::string directory);

[[nodiscard]] std::string companion_path(const std::string& name);

} // namespace strata::container
