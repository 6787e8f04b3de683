// The text of resctrl's files schemata: a line for each resource, "L3:0=ff;1=f", with a value for each of its
// domains. What is not said of a domain stays as it is.
#pragma once

#include "container/config/config.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace strata::container {

// What is to be written, in this order: the two schemas together, then the schemata.
[[nodiscard]] std::vector<std::string> schemata_of(const IntelRdt& rdt);

// The first line of `wanted` that `there` differs from; empty if there is none.
[[nodiscard]] std::string first_difference(const std::string& wanted, const std::string& there);

// The line of a resource ("L3"), or nothing.
[[nodiscard]] std::string schema_line(const std::string& schemata, std::string_view resource);

} // namespace strata::container
