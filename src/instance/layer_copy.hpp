// For hosts whose overlayfs does not serve: an instance's layers one over the other in a directory of its
// own.
#pragma once

#include "instance/instances.hpp"

namespace strata::instance {

// Makes the copy, if there is none. The instance must not run, and no monitor may have it.
[[nodiscard]] Result<void> copy_layers(const Instances& instances, const Instance& instance);

} // namespace strata::instance
