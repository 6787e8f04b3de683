// Images out of archives: OCI image layouts in a tar file, and what `docker save` writes (docker-archive).
#pragma once

#include "image/layer/archive_reader.hpp"
#include "image/store/store.hpp"

#include <vector>

namespace strata::image {

// Brings in the images of an archive, compressed or not, with their names; `name` begins messages.
[[nodiscard]] Result<ImageEntries> load_archive(const Store& store, Source source, const std::string& name);

} // namespace strata::image
