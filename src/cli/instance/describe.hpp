// All that is known of a container, as Docker's client writes it (Docker Engine API, "ContainerInspect").
#pragma once

#include "instance/instances.hpp"

#include <nlohmann/json.hpp>

namespace strata::cli {

// Seconds since 1970 as RFC 3339 has them, in UTC; 0 is Docker's "0001-01-01T00:00:00Z", never.
[[nodiscard]] std::string time_text(std::int64_t seconds);

[[nodiscard]] nlohmann::json describe_container(const instance::Instances& instances,
                                                const instance::Instance& instance);

} // namespace strata::cli
