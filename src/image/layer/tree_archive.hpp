// A directory as a layer's archive: OCI image specification, "Image Layer Filesystem Changeset"; names in
// order, so that equal directories give equal bytes.
#pragma once

#include "image/layer/tar_writer.hpp"

namespace strata::image {

// Writes what is in the open directory. Overlayfs's marks become whiteouts. Sockets are left out: they live
// with their program.
[[nodiscard]] Result<void> archive_tree(int directory, TarWriter& tar);
// Writes `name` of the open directory, and what is in it if it is a directory.
[[nodiscard]] Result<void> archive_one(int directory, const std::string& name, TarWriter& tar);

} // namespace strata::image
