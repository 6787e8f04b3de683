// System call filters compiled by libseccomp: all that the runtime specification can say.
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"

#include <linux/filter.h>
#include <vector>

namespace strata::container {

[[nodiscard]] Result<std::vector<sock_filter>> compile_general_filter(const Seccomp& seccomp);

} // namespace strata::container
