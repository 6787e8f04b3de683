// Capabilities by name, and giving a process exactly its sets (capabilities(7)).
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::container {

// "CAP_NET_RAW" as 13; nothing for an unknown word.
[[nodiscard]] std::optional<unsigned> capability_number(std::string_view name);
[[nodiscard]] const std::vector<std::string_view>& capability_names();

// Takes all but these from the bounding set. Before the user changes.
[[nodiscard]] Result<void> limit_bounding_set(const Capabilities& wanted);

// Sets the other four sets. After the user changed, which must have kept the permitted set (PR_SET_KEEPCAPS).
// Capabilities that this process cannot give are left out, as the specification lets a runtime do.
[[nodiscard]] Result<void> set_capabilities(const Capabilities& wanted);

} // namespace strata::container
