// A directory as a layer's archive: OCI image specification, "Image Layer Filesystem Changeset"; names in
// order, so that equal directories give equal bytes.
#pragma once

#include "image/layer/tar_writer.hpp"

#include <string>
#include <utility>
#include <vector>

namespace strata::image {

// Writes what is in the open directory. Overlayfs's marks become whiteouts. Sockets are left out: they live
// with their program.
[[nodiscard]] Result<void> archive_tree(int directory, TarWriter& tar);
// Writes `name` of the open directory, and what is in it if it is a directory.
[[nodiscard]] Result<void> archive_one(int directory, const std::string& name, TarWriter& tar);

// Writes of the open directory what was added ('A') or changed ('C'), directories without what is in them,
// and whiteouts for what is gone ('D'); paths begin with a slash. What has gone meanwhile is left out.
[[nodiscard]] Result<void>
archive_changes(int directory, const std::vector<std::pair<char, std::string>>& changes, TarWriter& tar);

} // namespace strata::image
