// The network of containers without root: a TCP/IP stack in a process of the monitor's (strata-net), which
// reaches what the user reaches, with the user's own sockets. A container is 10.0.2.15; nothing of the host's
// own loopback network can be reached from it.
#pragma once

#include "instance/network/network.hpp"

namespace strata::instance {

inline constexpr auto user_address = "10.0.2.15", user_gateway = "10.0.2.2", user_name_server = "10.0.2.3";
inline constexpr unsigned user_prefix = 24;

[[nodiscard]] Result<Connection> connect_user();
// The same in the namespace that a process is in. EBUSY while the stack that served it is still there.
[[nodiscard]] Result<Connection> reconnect_user(std::int64_t pid);

} // namespace strata::instance
