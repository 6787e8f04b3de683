// maskedPaths and readonlyPaths.
#pragma once

#include "base/error.hpp"
#include "container/kernel/root_directory.hpp"

#include <string>
#include <vector>

namespace strata::container {

// Hides each path: files behind `null`, a detached mount of the host's null device, directories behind an
// empty, read-only tmpfs. Paths that do not exist are passed over.
[[nodiscard]] Result<void> mask_paths(const RootDirectory& root, const std::vector<std::string>& paths,
                                      int null, const std::string& label);

[[nodiscard]] Result<void> make_paths_read_only(const RootDirectory& root,
                                                const std::vector<std::string>& paths);

} // namespace strata::container
