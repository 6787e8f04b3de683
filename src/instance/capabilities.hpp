// The capabilities of containers, by name: capabilities(7).
#pragma once

#include "base/error.hpp"

#include <string>
#include <vector>

namespace strata::instance {

// The default fourteen, with those of `add` ("NET_ADMIN", "CAP_NET_ADMIN" or "ALL") and without those of
// `drop`.
[[nodiscard]] Result<std::vector<std::string>> effective_capabilities(const std::vector<std::string>& add,
                                                                      const std::vector<std::string>& drop);
// All that there are.
[[nodiscard]] std::vector<std::string> all_capabilities();

} // namespace strata::instance
