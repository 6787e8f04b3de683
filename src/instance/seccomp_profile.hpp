// The default seccomp filter of containers, as a runtime specification's "seccomp" object: what is not named
// fails with EPERM.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace strata::instance {

using Json = nlohmann::json;

// `capabilities` are those that the container has ("CAP_SYS_ADMIN"): each opens the calls it is for.
[[nodiscard]] Json default_seccomp_profile(const std::vector<std::string>& capabilities);

} // namespace strata::instance
