// linux.netDevices: network devices of the host's that move into the container.
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"

#include <sys/types.h>

namespace strata::container {

// Into the network namespace of `pid`, under their names there, with their permanent addresses, and up if
// they were.
[[nodiscard]] Result<void> move_net_devices(pid_t pid, const std::vector<NetDevice>& devices);

} // namespace strata::container
