// Removal of directories whose content nobody vouches for: by descriptors, following no symbolic link, at any
// depth with few open files.
#pragma once

#include "base/error.hpp"

#include <string>

namespace strata {

// Removes `name` in the directory `parent`, whatever it is; it need not be there.
[[nodiscard]] Result<void> remove_tree(int parent, const std::string& name);
[[nodiscard]] Result<void> remove_tree(const std::string& path);
// Empties an open directory.
[[nodiscard]] Result<void> remove_content(int directory);

} // namespace strata
