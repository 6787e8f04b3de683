// tmpcopyup: a new tmpfs begins with what it will hide.
#pragma once

#include "base/error.hpp"

namespace strata::container {

// Copies the tree of directory `source` into directory `target`: directories, files, symbolic links, their
// owners, modes and times. Other kinds are left out. Never leaves the tree: no symbolic link is followed.
[[nodiscard]] Result<void> copy_up(int source, int target);

} // namespace strata::container
