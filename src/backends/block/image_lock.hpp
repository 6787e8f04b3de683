// Locks on image files, of the kind that QEMU and its tools take, so that neither harms the other's images.
#pragma once

#include "base/error.hpp"

#include <string>

namespace strata::backends {

// Takes the lock for the descriptor's open file description (it ends with its last descriptor). Any number of
// readers, or one writer.
[[nodiscard]] Result<void> lock_image(int fd, const std::string& path, bool writer);

} // namespace strata::backends
