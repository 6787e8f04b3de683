// What was changed in a copy of layers: each file's inode and the time of its last change (inode(7),
// st_ctime) are written down when the copy is made, and compared. Nobody can set that time back.
#pragma once

#include "base/error.hpp"

#include <string>
#include <utility>
#include <vector>

namespace strata::instance {

using Changes = std::vector<std::pair<char, std::string>>; // "A /new", "C /changed", "D /gone", by name

// Writes down what is in `directory` now.
[[nodiscard]] Result<void> list_files(const std::string& directory, const std::string& list);
// What is different now. As with overlayfs, a directory in which something changed is changed, too, and of
// what is gone with its directory only that is told.
[[nodiscard]] Result<Changes> compare_files(const std::string& directory, const std::string& list);

} // namespace strata::instance
