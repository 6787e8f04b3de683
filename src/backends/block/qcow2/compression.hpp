// Compressed clusters of a qcow2 image. QCOW2 image format, section Compressed Clusters.
#pragma once

#include "backends/block/qcow2/header.hpp"

#include <cstddef>
#include <span>

namespace strata::backends::qcow2 {

// Fills `cluster`; false if `compressed` does not hold that much. What follows the compressed data is
// ignored.
[[nodiscard]] bool decompress(Compression type, std::span<const std::byte> compressed,
                              std::span<std::byte> cluster);

} // namespace strata::backends::qcow2
