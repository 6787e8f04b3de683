// The words of the configuration, for those who list them.
#pragma once

#include <string_view>
#include <vector>

namespace strata::container {

[[nodiscard]] std::vector<std::string_view> seccomp_action_names();
[[nodiscard]] std::vector<std::string_view> seccomp_operator_names();
[[nodiscard]] std::vector<std::string_view> seccomp_architecture_names();

} // namespace strata::container
