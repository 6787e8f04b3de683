// Kernel parameters of the container's namespaces.
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"
#include "container/kernel/procfs.hpp"

namespace strata::container {

// Refuses parameters that are the whole host's, or of a namespace that the container shares with it.
[[nodiscard]] Result<void> check_sysctls(const Config& config);

[[nodiscard]] Result<void> set_sysctls(const Procfs& proc, const std::map<std::string, std::string>& sysctls);

} // namespace strata::container
