// Counts the users of every cluster anew, for an image whose last writer died while its counts were behind
// (dirty bit). QCOW2 image format, section Host cluster management.
#pragma once

#include "backends/block/qcow2/metadata.hpp"

namespace strata::backends::qcow2 {

// Changes the counts of `metadata` to what they should be; the caller commits.
[[nodiscard]] Result<void> rebuild_refcounts(const ImageFile& file, Metadata& metadata);

} // namespace strata::backends::qcow2
