// The usual system call filters, compiled in a fraction of a millisecond. libseccomp takes twelve for the
// calls that a container may make, at each start, for its time grows with their square.
#pragma once

#include "container/config/config.hpp"

#include <linux/filter.h>
#include <optional>
#include <vector>

namespace strata::container {

// Does what libseccomp's filter does. Nothing for what is left to it: other architectures than x86's, and
// calls with rules that contradict one another, where its order of precedence counts.
[[nodiscard]] std::optional<std::vector<sock_filter>> compile_plain_filter(const Seccomp& seccomp);

} // namespace strata::container
