// Images into an archive that is both an OCI image layout and what Docker loads (docker-archive).
#pragma once

#include "image/layer/compressor.hpp"
#include "image/store/store.hpp"

#include <vector>

namespace strata::image {

[[nodiscard]] Result<void> save_archive(const Store& store, const ImageEntries& entries, Sink sink);

} // namespace strata::image
