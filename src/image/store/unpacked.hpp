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

// Whether this process may set owners as archives say: root, in the first user namespace or in one that has
// more than its own ID.
[[nodiscard]] bool is_privileged();
// Whether this process is in a user namespace that is not the first.
[[nodiscard]] bool in_user_namespace();

} // namespace strata::image
