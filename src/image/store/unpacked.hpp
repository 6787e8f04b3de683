// Layers as directories, each by itself, for overlayfs: layers/ALGORITHM/HEX of the store, by chain ID. What
// has a name there is whole: a layer is unpacked in ingest/ and renamed.
#pragma once

#include "image/store/store.hpp"

#include <string>
#include <vector>

namespace strata::image {

// The directories of an image's layers, the lowest first; those that are not there are unpacked. They stay
// while the lease lives. Any number of processes may ask for the same.
[[nodiscard]] Result<std::vector<std::string>> unpack_image(const Store& store, const Image& image,
                                                            Lease& lease);

// All layers of an image in one directory, which is open and empty: for hosts without overlayfs.
[[nodiscard]] Result<void> unpack_image_into(const Store& store, const Image& image, int directory);

} // namespace strata::image
