// Copies of directories: owners, modes, times, links and attributes as they are; by descriptors, following no
// symbolic link.
#pragma once

#include "base/error.hpp"

#include <string>

namespace strata {

// Copies what is in the open directory `source` into the directory `target`, which is there.
[[nodiscard]] Result<void> copy_tree(int source, const std::string& target);

} // namespace strata
