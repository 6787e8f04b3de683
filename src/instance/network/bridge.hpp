// The network that containers have by default: a bridge of this host, with a private network behind it.
#pragma once

#include "instance/network/network.hpp"

#include <string>

namespace strata::instance {

inline constexpr auto bridge_name = "strata0";
inline constexpr unsigned bridge_prefix = 16;

[[nodiscard]] std::string bridge_gateway(); // this host's address on it

[[nodiscard]] Result<Connection> connect_bridge(const Instances& instances, const Instance& instance);
void disconnect_bridge(const Instances& instances, const Instance& instance);

} // namespace strata::instance
