// Removal of what no image and no lease reaches.
#pragma once

#include "image/store/store.hpp"

#include <cstdint>

namespace strata::image {

struct Collected {
    std::vector<Digest> blobs; // removed
    std::uint64_t bytes = 0;
};

// Removes unreachable blobs and unpacked layers, and with `partial` also downloads that could be resumed.
[[nodiscard]] Result<Collected> collect_garbage(const Store& store, bool partial = false);

} // namespace strata::image
