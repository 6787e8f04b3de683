// Programs that belong to this one lie in its directory.
#pragma once

#include <string>

namespace strata {

// The path of `name` in the directory of this process's executable.
[[nodiscard]] std::string path_beside(const std::string& name);

} // namespace strata
